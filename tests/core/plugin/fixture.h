#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <string_view>

#include "base/error.h"
#include "plugin/library.h"
#include "plugin/options.h"

namespace rechost::test {

/// Where the build put the plugins of tests/abi/plugins.
inline std::filesystem::path plugin_folder() {
  const char* folder = std::getenv("RECHOST_TEST_PLUGIN_DIR");
  if (folder == nullptr) throw std::runtime_error("RECHOST_TEST_PLUGIN_DIR is not set; run these tests through ctest");
  return folder;
}

inline std::filesystem::path plugin_file(const std::string& name) { return plugin_folder() / (name + ".so"); }

/// A folder of the test's own, removed at its end.
class Folder {
 public:
  Folder() {
    static std::atomic<int> count{0};
    path_ = std::filesystem::temp_directory_path() / ("rechost-plugin-" + std::to_string(getpid()) + "-" + std::to_string(count++));
    std::filesystem::create_directories(path_);
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;  // removes the folder
  Folder& operator=(const Folder&) = delete;

  const std::filesystem::path& path() const { return path_; }

  /// A file that only its owner may change.
  std::filesystem::path write(const std::string& name, std::string_view bytes) const {
    const std::filesystem::path file = path_ / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << bytes;
    chmod(file.c_str(), 0644);
    return file;
  }

 private:
  std::filesystem::path path_;
};

inline std::string bytes_of(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

inline std::string without(std::string text, const std::string& part) {
  for (std::size_t at; (at = text.find(part)) != std::string::npos;) text.erase(at, part.size());
  return text;
}

/// What the error of this kind says, without the folder's name; "" when nothing is thrown. Other kinds pass and fail the test.
template <typename Kind>
std::string complaint(const std::filesystem::path& folder, const std::function<void()>& action) {
  try {
    action();
  } catch (const Kind& error) {
    return without(error.what(), folder.string() + "/");
  }
  return "";
}

/// A section with some keys, as if from a file.
inline ConfigNode given(const ConfigNode::Table& keys) {
  ConfigNode node;
  node.value = keys;
  return node;
}

inline ConfigNode value(const std::string& text) { return parse_value(text, "a.toml:3"); }

inline ModuleOptions options_of(const Module& module, const ConfigNode::Table& keys = {}) {
  return ModuleOptions(module, given(keys),
                       {.section = module.kind() == ModuleKind::kModel ? "model" : "data", .seed = 1, .threads = 1, .lookup = {}});
}

}  // namespace rechost::test
