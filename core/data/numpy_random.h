#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace rechost {

/// The numbers of NumPy's `default_rng(seed)`: SeedSequence, PCG64 (XSL-RR 128/64) and what Generator makes of its words. NumPy does not
/// promise that Generator's streams stay the same; tests hold these equal to those of 2.3.5.
/// O'Neill, "PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms for Random Number Generation", 2014.
class NumpyGenerator {
 public:
  explicit NumpyGenerator(std::uint64_t seed);

  std::uint64_t word64() {
    state_ = state_ * kMultiplier + increment_;
    return std::rotr(static_cast<std::uint64_t>(state_ >> 64) ^ static_cast<std::uint64_t>(state_), static_cast<int>(state_ >> 122));
  }
  /// The low half of a word first; the high half waits for the next call, across calls of word64().
  std::uint32_t word32() {
    if (has_half_) {
      has_half_ = false;
      return half_;
    }
    const std::uint64_t word = word64();
    has_half_ = true;
    half_ = static_cast<std::uint32_t>(word >> 32);
    return static_cast<std::uint32_t>(word);
  }

  /// random(): [0, 1) with 53 bits.
  double real() { return static_cast<double>(word64() >> 11) * (1.0 / 9007199254740992.0); }

  /// uniform(low, high) is low + range * real(), never fused into one rounding.
  double uniform(double low, double range) { return low + range * real(); }

  /// integers(low, high): [low, high), low < high (Lemire's multiply-shift with rejection).
  std::int64_t integer(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(bounded(static_cast<std::uint64_t>(high - 1 - low)));
  }

  /// shuffle(): of an array or a list of fewer than 2^32 elements.
  template <typename Value>
  void shuffle(std::span<Value> values) {
    if (values.size() < 2) return;
    // Places are drawn some way ahead of the swaps, so that memory has fetched them by then.
    std::array<std::uint32_t, 32> drawn;
    for (auto i = static_cast<std::uint32_t>(values.size() - 1); i > 0;) {
      const std::uint32_t count = i < drawn.size() ? i : static_cast<std::uint32_t>(drawn.size());
      for (std::uint32_t k = 0; k < count; ++k) {
        drawn[k] = below_by_mask(i - k);
        __builtin_prefetch(&values[drawn[k]], 1);
      }
      for (std::uint32_t k = 0; k < count; ++k, --i) std::swap(values[i], values[drawn[k]]);
    }
  }

  /// choice(count, chosen, replace=False), in the order that NumPy draws them. 0 <= chosen <= count < 2^32.
  std::vector<std::uint32_t> choice(std::uint32_t count, std::uint32_t chosen);

 private:
  using Word128 = unsigned __int128;
  static constexpr Word128 kMultiplier = (Word128{2549297995355413924ull} << 64) | 4865540595714422341ull;

  /// [0, last], by masked rejection (random_interval).
  std::uint32_t below_by_mask(std::uint32_t last) {
    const std::uint32_t mask = ~std::uint32_t{0} >> std::countl_zero(last);
    std::uint32_t value = 0;
    do {
      value = word32() & mask;
    } while (value > last);
    return value;
  }
  /// [0, last] (random_bounded_uint64).
  std::uint64_t bounded(std::uint64_t last);
  /// The tail of a shuffle: elements first .. size - 1 by Lemire's bounds (_shuffle_int).
  void shuffle_tail(std::vector<std::uint32_t>& values, std::size_t first);

  Word128 state_ = 0;
  Word128 increment_ = 0;
  std::uint32_t half_ = 0;
  bool has_half_ = false;
};

}  // namespace rechost
