#pragma once

#include <cstdint>
#include <string_view>

namespace rechost {

/// In what numbers the rows of a table are kept. What is computed with them, and the optimizer's state, is float32 in any case. kInt8 is for
/// using a trained model: an update would be lost in it.
enum class RowPrecision { kFp32, kFp16, kBf16, kInt8 };

/// Throws ConfigError for an unknown name.
RowPrecision row_precision(std::string_view name);
std::string_view row_precision_name(RowPrecision precision);

/// IEEE 754 binary16: 11 significant bits, up to 65504.
struct Fp16 {
  static constexpr float kLargest = 65504.0f;
  std::uint16_t bits = 0;
};

/// The upper half of a float32: 8 significant bits, its range.
struct Bf16 {
  static constexpr float kLargest = 0x1.FEp127f;
  std::uint16_t bits = 0;
};

/// One of 256 equal steps between the least and the largest value of its row. Behind the values of a row, from the next float on, stand the
/// step and the least value.
struct Int8 {
  static constexpr std::int64_t kRowFloats = 2;  ///< behind the values
  std::uint8_t steps = 0;
};

/// Without what else a row has.
std::int64_t value_bytes(RowPrecision precision);
float largest_value(RowPrecision precision);

/// Room that `dim` values take, in floats: what follows them is aligned like a float.
[[gnu::always_inline]] constexpr std::int64_t floats_of_values(std::int64_t bytes_of_value, std::int64_t dim) {
  return (dim * bytes_of_value + static_cast<std::int64_t>(sizeof(float)) - 1) / static_cast<std::int64_t>(sizeof(float));
}

/// Room that the values of a row take, in floats, with all that is needed to read them.
std::int64_t row_value_floats(RowPrecision precision, std::int64_t dim);

/// `count` values at `from`, which are of that precision, as float32: exact. Int8: of one row.
void widen_values(RowPrecision precision, const void* from, std::int64_t count, float* to);

/// The other way, to the nearest, ties to even; values that widen_values() has given come back as they were, but for Int8, where each is within
/// half a step of what was given. Returns how many were written
/// before the first one beyond +-largest_value() or NaN (float32: any value fits): `count` if there is none.
std::int64_t narrow_values(RowPrecision precision, const float* from, std::int64_t count, void* to);

}  // namespace rechost
