#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <string_view>

namespace rechost {

/// Philox4x32-10, a counter-based generator: the numbers are a pure function of (key, counter), so any thread can make any of them.
/// Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011.
class Philox {
 public:
  using Block = std::array<std::uint32_t, 4>;

  constexpr explicit Philox(std::uint64_t key) : key_{static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32)} {}

  /// Four independent 32-bit words for a 128-bit counter.
  constexpr Block operator()(std::uint64_t low, std::uint64_t high = 0) const {
    Block x{static_cast<std::uint32_t>(low), static_cast<std::uint32_t>(low >> 32), static_cast<std::uint32_t>(high),
            static_cast<std::uint32_t>(high >> 32)};
    std::uint32_t k0 = key_[0];
    std::uint32_t k1 = key_[1];
    for (int round = 0; round < 10; ++round) {
      const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * x[0];
      const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * x[2];
      x = {static_cast<std::uint32_t>(p1 >> 32) ^ x[1] ^ k0, static_cast<std::uint32_t>(p1),
           static_cast<std::uint32_t>(p0 >> 32) ^ x[3] ^ k1, static_cast<std::uint32_t>(p0)};
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    return x;
  }

  constexpr std::uint64_t word64(std::uint64_t low, std::uint64_t high = 0) const {
    const Block block = (*this)(low, high);
    return (std::uint64_t{block[1]} << 32) | block[0];
  }

 private:
  std::array<std::uint32_t, 2> key_;
};

/// Mixes two numbers into a new seed (splitmix64 finaliser): streams for different purposes from one run seed.
[[gnu::always_inline]] constexpr std::uint64_t derive_seed(std::uint64_t seed, std::uint64_t purpose) {
  std::uint64_t z = seed + 0x9E3779B97F4A7C15ull * (purpose + 1);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

/// A number for a name (FNV-1a), so that what is drawn for "user" does not depend on which other names exist. Part of what a seed means: it
/// must never change.
constexpr std::uint64_t name_seed(std::string_view name) {
  std::uint64_t hash = 0xCBF29CE484222325ull;
  for (const char character : name) hash = (hash ^ static_cast<unsigned char>(character)) * 0x100000001B3ull;
  return hash;
}

/// [0, 1) with 24 bits: every value is exact in float32.
constexpr float uniform_float(std::uint32_t word) { return static_cast<float>(word >> 8) * 0x1p-24f; }

/// [0, 1) with 53 bits.
constexpr double uniform_double(std::uint64_t word) { return static_cast<double>(word >> 11) * 0x1p-53; }

/// [0, n) without bias worth naming (multiply-shift of a 64-bit word; error < n / 2^64).
constexpr std::uint64_t uniform_below(std::uint64_t word, std::uint64_t n) {
  return static_cast<std::uint64_t>((static_cast<unsigned __int128>(word) * n) >> 64);
}

/// Two standard normal numbers from two 32-bit words (Box-Muller).
inline std::array<float, 2> normal_pair(std::uint32_t first, std::uint32_t second) {
  // (0, 1]: the logarithm must not see zero.
  const double u = (static_cast<double>(first) + 1.0) * 0x1p-32;
  const double radius = std::sqrt(-2.0 * std::log(u));
  const double angle = 6.283185307179586476925286766559 * static_cast<double>(second) * 0x1p-32;
  return {static_cast<float>(radius * std::cos(angle)), static_cast<float>(radius * std::sin(angle))};
}

}  // namespace rechost
