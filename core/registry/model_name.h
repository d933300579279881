#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace rechost {

/// "models:/name" (newest version), "models:/name/3", "models:/name@alias". The scheme may be left out where only a model is possible.
struct ModelReference {
  std::string name;
  std::optional<std::int64_t> version;
  std::string alias;  ///< empty: none

  /// Throws ConfigError that shows the three forms.
  static ModelReference parse(std::string_view text);
  /// Whether `text` begins with "models:/".
  static bool is_reference(std::string_view text);
  std::string text() const;
};

/// Names of models and aliases: 1 to 128 letters, digits, '.', '_', '-', beginning with a letter or digit. An alias must not be a number,
/// nor "latest". Throw ConfigError.
void require_model_name(std::string_view name);
void require_alias_name(std::string_view alias);

}  // namespace rechost
