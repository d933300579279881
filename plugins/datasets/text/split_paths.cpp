#include "text/split_paths.h"

namespace text {

std::vector<std::string_view> splits_by_path(const rechost::Config& config) {
  const bool path = !config.get_path("path").empty(), train = !config.get_path("train_path").empty();
  const bool valid = !config.get_path("valid_path").empty(), test = !config.get_path("test_path").empty();
  if (path == train) throw rechost::ConfigError(path ? "path and train_path mean the same: set one of them" : "path or train_path is needed");
  if (path && !valid && !test) return {"all"};
  std::vector<std::string_view> names{"train"};
  if (valid) names.push_back("valid");
  if (test) names.push_back("test");
  return names;
}

std::string path_option(const rechost::Config& config, std::string_view split) {
  if (split == "valid" || split == "test") return std::string(split) + "_path";
  return config.get_path("path").empty() ? "train_path" : "path";
}

}  // namespace text
