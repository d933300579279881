// plugin: ratings
// The first byte chooses the form and the split, the rest is the file.
#include "fuzzed_loader.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  fuzz::Options options{{"chunk_rows", "3"}, {"history", "2"}};
  if ((data[0] & 1) != 0) {
    options["format"] = "\"lists\"";
  } else if ((data[0] & 2) != 0) {
    options["columns"] = "[\"user\", \"item\", \"rating\", \"time\"]";
  }
  if ((data[0] & 4) != 0) options["holdout"] = "\"leave_one_out\"";
  if ((data[0] & 8) != 0) options["holdout"] = "\"ratio\"";
  options["path"] = fuzz::toml_text(fuzz::scratch_folder().write("r.csv", fuzz::bytes_of(data + 1, size - 1)));
  fuzz::read_all_splits(options);
  return 0;
}
