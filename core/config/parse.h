#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/document.h"
#include "config/node.h"
#include "config/sections.h"

namespace rechost {

/// Fills the host's sections. Throws ConfigError naming file, line, full key and the nearest name: unknown section or key, wrong type,
/// value out of range or not among the choices. The options of plugins stay as they are (see plugin/options.h).
Config parse_config(const ConfigNode& document);

/// load_document and parse_config in one.
Config load_config(const ConfigLayers& layers);

/// Whether `pattern` fits all of `name`; `*` stands for any characters, none included.
bool pattern_matches(std::string_view pattern, std::string_view name);

/// What [features] says about one feature: all patterns that match, a longer one over a shorter one, the name itself over both; only keys
/// really given override.
FeatureSection feature_settings(const Config& config, std::string_view name);

/// The features of [features] that say which column they are made of, in order of their names. ConfigError when a pattern with `*` does.
std::vector<std::string> derived_features(const Config& config);

/// The same for [tables].
TableSection table_settings(const Config& config, std::string_view name);

/// What [data.streams.<name>] says about a stream, the options of its loader included.
StreamSection stream_settings(const DataSection& data, std::string_view name);

/// Throws ConfigError for a pattern of [features] or [tables] that matches none of the names: call once the names are known.
void check_patterns(const Config& config, std::span<const std::string> features, std::span<const std::string> tables);

}  // namespace rechost
