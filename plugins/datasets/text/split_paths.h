// Loaders whose splits are files of their own: options path or train_path, valid_path, test_path.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "rechost/cxx/plugin.hpp"

namespace text {

/// "all" where only `path` is given: the host splits; else train and those of valid and test that have a path. ConfigError unless exactly one
/// of path and train_path, which mean the same, is set.
std::vector<std::string_view> splits_by_path(const rechost::Config& config);

/// Name of the option that holds the path of a split.
std::string path_option(const rechost::Config& config, std::string_view split);

}  // namespace text
