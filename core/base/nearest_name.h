#pragma once

#include <span>
#include <string>
#include <string_view>

namespace rechost {

/// The candidate with the smallest edit distance to `name`, or empty when none is near enough to be what was meant.
std::string nearest_name(std::string_view name, std::span<const std::string> candidates);

/// " (did you mean \"x\"?)" or "".
std::string suggestion(std::string_view name, std::span<const std::string> candidates);

}  // namespace rechost
