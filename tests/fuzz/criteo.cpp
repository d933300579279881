// plugin: criteo
// The first byte chooses how categories are read, the rest is the file.
#include "fuzzed_loader.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  constexpr const char* kCategorical[] = {"\"text\"", "\"integer\"", "\"hexadecimal\""};
  fuzz::Options options{{"chunk_rows", "2"}, {"categorical", kCategorical[data[0] % 3]}};
  options["path"] = fuzz::toml_text(fuzz::scratch_folder().write("t.tsv", fuzz::bytes_of(data + 1, size - 1)));
  fuzz::read_all_splits(options);
  return 0;
}
