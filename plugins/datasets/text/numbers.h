// Numbers in text. A failed parse says why, quoting the value.
#ifndef RECHOST_TEXT_NUMBERS_H
#define RECHOST_TEXT_NUMBERS_H

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace text {

// Spaces around the number and a leading plus are allowed. NaN and infinities are not numbers here: one of them in a feature or label
// would spoil a whole training run.
bool parse_integer(std::string_view text, std::int64_t& value);
bool parse_real(std::string_view text, double& value);
// As parse_real, and within the range of float32.
bool parse_float(std::string_view text, float& value);

// The number that up to eight decimal digits stand for. False when there is any other byte, none, or more than eight: parse_integer() knows
// then. Eight bytes before the end of `text` must be readable.
inline bool parse_digits(std::string_view text, std::uint32_t& value) {
  if (text.empty() || text.size() > 8) return false;
  std::uint64_t bytes;
  std::memcpy(&bytes, text.data() + text.size() - 8, 8);
  // What stands before the number, in the low bytes, becomes zeros.
  constexpr std::uint64_t kZeros = 0x3030303030303030;
  const std::uint64_t wanted = ~std::uint64_t{0} << (8 * (8 - text.size()));
  bytes = (bytes & wanted) | (kZeros & ~wanted);
  constexpr std::uint64_t kUpper = 0xf0f0f0f0f0f0f0f0;
  if ((bytes & kUpper) != kZeros || ((bytes + 0x0606060606060606) & kUpper) != kZeros) return false;
  bytes -= kZeros;
  bytes = bytes * 10 + (bytes >> 8);  // pairs, in every other byte
  constexpr std::uint64_t kPairs = 0x000000ff000000ff;
  value = static_cast<std::uint32_t>(((bytes & kPairs) * 0x000f424000000064 + ((bytes >> 16) & kPairs) * 0x0000271000000001) >> 32);
  return true;
}

// Why one of these refused: «"x7" is not an integer». `wanted` says what was hoped for: "an integer", "a number".
std::string refusal(std::string_view text, std::string_view wanted);

// The value in quotes, cut when long, with bytes that do not print written as \xNN.
std::string quote(std::string_view text);

// The name nearest to `name` in spelling, or empty when none is near.
std::string nearest_name(std::string_view name, const std::string* begin, const std::string* end);

}  // namespace text

#endif  // RECHOST_TEXT_NUMBERS_H
