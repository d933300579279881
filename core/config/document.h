#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/node.h"

namespace rechost {

/// The value of an environment variable, or nothing when it is not set. Only the app floor reads the environment.
using VariableLookup = std::function<std::optional<std::string>(std::string_view name)>;

/// All that a configuration is made of, weakest first: files in order, environment, settings.
struct ConfigLayers {
  struct Variable {
    std::string name;
    std::string value;
  };

  std::vector<std::filesystem::path> files;  ///< --config; each may say `include = ["base.toml"]`, relative to itself
  std::vector<Variable> environment;         ///< only RECHOST_<SECTION>__<KEY>[__<KEY>] is used, other names are passed over
  std::vector<std::string> settings;         ///< --set: "optimizer.sparse.lr=0.1", `features."c*".kind=sparse`
  VariableLookup lookup;                     ///< for ${NAME} in strings; empty: no variable is set
};

/// Reads and merges all layers. Tables merge key by key; anything else is replaced by the stronger layer. `${NAME}` in the strings that
/// survive is replaced (`$${` stands for `${`). Throws ConfigError naming file and line: missing file, syntax, circle of includes, dates,
/// unset variable. Keys are not checked here (see parse_config).
ConfigNode load_document(const ConfigLayers& layers);

/// One value as TOML text, such as an option's default or what follows `=` in --set. Throws ConfigError; `origin` begins its message.
ConfigNode parse_value(std::string_view text, std::string_view origin);

/// Replaces ${NAME} in all strings below `node`. `key` is the full key of `node`, for messages.
void replace_variables(ConfigNode& node, std::string_view key, const VariableLookup& lookup);

/// "configs/dlrm.toml:12: " or "" for defaults: how each message about a value begins.
std::string at(const ConfigNode& node);

}  // namespace rechost
