// A dataset plugin that is part of the program, read to its end as the host does it: it may refuse whatever it wants, but not crash.
#ifndef RECHOST_TESTS_FUZZ_FUZZED_LOADER_H
#define RECHOST_TESTS_FUZZ_FUZZED_LOADER_H

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "plugins/datasets/opened_split.h"
#include "plugins/datasets/written_file.h"

extern "C" const rh_plugin* rechost_plugin_v1(const rh_host* host, rh_error** error);

namespace fuzz {

using datasets_test::Options;
using datasets_test::toml_text;

inline std::string_view bytes_of(const std::uint8_t* data, std::size_t size) { return {reinterpret_cast<const char*>(data), size}; }

// One folder for all inputs of a process.
inline const datasets_test::Folder& scratch_folder() {
  static const datasets_test::Folder folder;
  return folder;
}

inline void read_all_splits(const Options& options) {
  static const datasets_test::Loader loader(&rechost_plugin_v1);
  try {
    for (const std::string& split : loader.splits(options)) datasets_test::OpenedSplit(loader, options, split).read_all();
  } catch (const datasets_test::PluginError&) {
    // A clear error is what a damaged file should give.
  }
}

}  // namespace fuzz

#endif  // RECHOST_TESTS_FUZZ_FUZZED_LOADER_H
