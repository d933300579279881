#pragma once

#include <string>
#include <utility>
#include <vector>

#include "config/sections.h"

namespace rechost {

enum class ShowOrigins { kNo, kYes };

/// The whole configuration as TOML: every key of the host with its value, options of plugins as they stand in `options`, given keys of
/// patterns. With kYes each line ends in `# origin`. Loading the text gives the same configuration again.
std::string show_config(const Config& config, ShowOrigins origins);

/// Every value of show_config() by its full key, for lists of one line each: `optimizer.dense.lr` and `0.01`. Strings are without quotes.
std::vector<std::pair<std::string, std::string>> config_values(const Config& config);

/// JSON Schema (draft 2020-12) of the host's keys; [model] and [data] allow more keys, the options of their plugins.
std::string config_schema();

}  // namespace rechost
