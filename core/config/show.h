#pragma once

#include <string>

#include "config/sections.h"

namespace rechost {

enum class ShowOrigins { kNo, kYes };

/// The whole configuration as TOML: every key of the host with its value, options of plugins as they stand in `options`, given keys of
/// patterns. With kYes each line ends in `# origin`. Loading the text gives the same configuration again.
std::string show_config(const Config& config, ShowOrigins origins);

/// JSON Schema (draft 2020-12) of the host's keys; [model] and [data] allow more keys, the options of their plugins.
std::string config_schema();

}  // namespace rechost
