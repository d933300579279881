// plugin: parquet
// The whole input is a file. Arrow's libraries are as they were delivered, without sanitizers.
#include "fuzzed_loader.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Options options{{"label", "[\"y\"]"}, {"dense", "[\"d\"]"}, {"sparse", "[\"s\"]"}, {"multi_hot", "[\"m\"]"}};
  options["path"] = fuzz::toml_text(fuzz::scratch_folder().write("p.parquet", fuzz::bytes_of(data, size)));
  fuzz::read_all_splits(options);
  return 0;
}
