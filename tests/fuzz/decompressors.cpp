// plugin: csv
// The whole input is a file of gzip, of zstd, or neither.
#include "fuzzed_loader.h"
#include "rechost/cxx/plugin.hpp"
#include "text/text_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const text::TextFile file(fuzz::scratch_folder().write("x", fuzz::bytes_of(data, size)));
    std::string content(static_cast<std::size_t>(std::min<std::int64_t>(file.size(), 1 << 20)), '\0');
    file.read(0, content.size(), content.data());
  } catch (const rechost::DataError&) {
  }
  return 0;
}
