#pragma once

#include <array>
#include <cstdint>

namespace rechost {

/// A bijection of [0, size) that needs no memory: a Feistel network over the next power of two, walked until the value falls inside
/// ("cycle walking"; Black & Rogaway, "Ciphers with Arbitrary Finite Domains", 2002). Different for each key.
class Permutation {
 public:
  /// `size` >= 1.
  Permutation(std::uint64_t size, std::uint64_t key);
  /// `index` < size().
  std::uint64_t operator()(std::uint64_t index) const;
  /// values[i] = (*this)(first + i) for i < count: several at a time, so that none waits for the one before.
  void fill(std::uint64_t first, std::int64_t count, std::int64_t* values) const;
  std::uint64_t size() const { return size_; }

 private:
  static constexpr int kRounds = 6;

  std::uint64_t through_network(std::uint64_t value) const;

  std::uint64_t size_;
  int low_bits_;   ///< of the right half; the left half has as many or one more
  std::uint64_t low_mask_;
  std::uint64_t high_mask_;
  std::array<std::uint64_t, kRounds> round_keys_;
};

}  // namespace rechost
