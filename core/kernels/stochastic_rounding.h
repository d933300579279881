#pragma once

#include <cstdint>

#include "base/philox.h"
#include "kernels/row_precision.h"

/// Stochastic rounding of values to 16 bits: up or down at random, in such proportion that the mean is the value itself, so that steps much
/// smaller than the distance between two neighbouring numbers are not lost. (Gupta et al., "Deep Learning with Limited Numerical
/// Precision", ICML 2015.) Which way follows from seed, table, row, step and column alone: neither threads nor the width of vectors nor
/// the place where a row lies change a bit.
namespace rechost {

/// What the randomness of one row in one step follows from.
struct RoundingKey {
  std::uint32_t low = 0;
  std::uint32_t high = 0;

  /// `step_seed`: of seed, table and step.
  [[gnu::always_inline]] static constexpr RoundingKey of_row(std::uint64_t step_seed, std::int64_t row) {
    const std::uint64_t mixed = derive_seed(step_seed, static_cast<std::uint64_t>(row));
    return {static_cast<std::uint32_t>(mixed), static_cast<std::uint32_t>(mixed >> 32)};
  }
};

/// Random words, one for each of kWidth consecutive numbers from `first` on: the 32-bit finaliser that C. Wellons found by search
/// ("Prospecting for Hash Functions", 2018), with the other half of the key mixed in midway.
template <typename Vector>
[[gnu::always_inline]] inline typename Vector::Words random_words(const RoundingKey& key, std::uint32_t first) {
  using Words = typename Vector::Words;
  Words words = Words::counting_from(key.low + first);
  words = (words ^ words.template shifted_right<16>()) * Words(0x7FEB352Du);
  words = words ^ Words(key.high);
  words = (words ^ words.template shifted_right<15>()) * Words(0x846CA68Bu);
  return words ^ words.template shifted_right<16>();
}

/// 16 random bits for each of kWidth neighbouring columns of a row. Columns c and c + 16 of each 32 share a word, so that vectors of sixteen
/// need one for two of them.
template <typename Vector>
struct RoundingNoise {
  using Words = typename Vector::Words;
  RoundingKey key;
  Words words{0u};

  /// `column`: a multiple of kWidth; asked for in ascending order.
  [[gnu::always_inline]] Words of_columns(std::int64_t column) {
    const auto at = static_cast<std::uint32_t>(column);
    const bool lower = (at & 16u) != 0;
    if (!lower || Vector::kWidth < 16) words = random_words<Vector>(key, (at >> 5u) * 16u + (at & 15u));
    return lower ? words & Words(0xFFFFu) : words.template shifted_right<16>();
  }
};

/// `value` plus at random less than one step of the narrow type, away from zero: what is left is to cut it off. Values that the type holds
/// exactly stay what they are. `noise`: words below 2^16.
template <typename Vector>
[[gnu::always_inline]] inline Vector with_noise(Vector value, typename Vector::Words noise, Bf16 /*to*/) {
  return plus_bits(value, noise);
}

/// Steps of subnormal numbers are all 2^-24; their noise has a resolution of 2^-13 steps, which is what the others' float32 has too.
template <typename Vector>
[[gnu::always_inline]] inline Vector with_noise(Vector value, typename Vector::Words noise, Fp16 /*to*/) {
  const Vector power = larger(exponent_part(value), Vector(0x1p-14f));
  const Vector step_share = Vector::from_numbers(noise.template shifted_right<3>()) * Vector(0x1p-23f);
  return value + with_sign_of(power * step_share, value);
}

/// The values of a row where they are of 16 bits, for update_elements().
template <typename Vector, typename Narrow>
struct RoundedValues {
  Narrow* values = nullptr;
  RoundingNoise<Vector> noise;
  std::uint32_t beyond = 0;  ///< not 0 after a value was stored that Narrow cannot hold, or NaN

  [[gnu::always_inline]] Vector load(std::int64_t i, std::int64_t n) const { return Vector::load_first(values + i, n); }
  [[gnu::always_inline]] void store(std::int64_t i, std::int64_t n, Vector value) {
    std::uint32_t lanes = not_at_most(absolute(value), Vector(Narrow::kLargest));
    if (n < Vector::kWidth) lanes &= (1u << n) - 1u;  // what the rule makes of lanes that are not there is nobody's business
    beyond |= lanes;
    with_noise(value, noise.of_columns(i), Narrow{}).store_first(values + i, n);
  }
};

}  // namespace rechost
