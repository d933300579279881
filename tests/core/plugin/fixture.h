#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <string_view>

#include "base/error.h"
#include "core/folder.h"
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
