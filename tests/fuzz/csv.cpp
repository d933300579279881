// plugin: csv
// The first byte chooses the options, the rest is the file.
#include "fuzzed_loader.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  fuzz::Options options{{"chunk_rows", "3"}, {"columns", "[\"y\", \"d\", \"s\", \"u\", \"m\"]"}, {"label", "[\"y\"]"}, {"dense", "[\"d\"]"}, {"sparse", "[\"s\", \"u\"]"}, {"multi_hot", "[\"m\"]"},
                  {"integer", "[\"u\"]"}, {"header", "false"}};
  if ((data[0] & 1) != 0) options["quoted"] = "false";
  if ((data[0] & 2) != 0) options["delimiter"] = "\"::\"";
  if ((data[0] & 4) != 0) {
    options["header"] = "true";
    options.erase("columns");
  }
  options["path"] = fuzz::toml_text(fuzz::scratch_folder().write("x.csv", fuzz::bytes_of(data + 1, size - 1)));
  fuzz::read_all_splits(options);
  return 0;
}
