// Numbers in text. A failed parse says why, quoting the value.
#ifndef RECHOST_TEXT_NUMBERS_H
#define RECHOST_TEXT_NUMBERS_H

#include <cstdint>
#include <string>
#include <string_view>

namespace text {

// Spaces around the number and a leading plus are allowed. NaN and infinities are not numbers here: one of them in a feature or label
// would spoil a whole training run.
bool parse_integer(std::string_view text, std::int64_t& value);
bool parse_real(std::string_view text, double& value);
// As parse_real, and within the range of float32.
bool parse_float(std::string_view text, float& value);

// Why one of these refused: «"x7" is not an integer». `wanted` says what was hoped for: "an integer", "a number".
std::string refusal(std::string_view text, std::string_view wanted);

// The value in quotes, cut when long, with bytes that do not print written as \xNN.
std::string quote(std::string_view text);

// The name nearest to `name` in spelling, or empty when none is near.
std::string nearest_name(std::string_view name, const std::string* begin, const std::string* end);

}  // namespace text

#endif  // RECHOST_TEXT_NUMBERS_H
