#include "data/permutation.h"

#include <bit>

#include "base/philox.h"

namespace rechost {
namespace {

/// Round function of the Feistel network: any function will do for a bijection, this one mixes well (two multiply-xorshift steps).
std::uint64_t mix(std::uint64_t value, std::uint64_t key) {
  std::uint64_t z = (value ^ key) * 0x9E3779B97F4A7C15ull;
  z = (z ^ (z >> 32)) * 0xD6E8FEB86659FD93ull;
  return z ^ (z >> 32);
}

std::uint64_t mask_of(int bits) { return bits >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bits) - 1; }

}  // namespace

Permutation::Permutation(std::uint64_t size, std::uint64_t key) : size_(size) {
  const int bits = size <= 1 ? 0 : std::bit_width(size - 1);
  low_bits_ = bits / 2;
  low_mask_ = mask_of(low_bits_);
  high_mask_ = mask_of(bits - low_bits_);
  for (int round = 0; round < kRounds; ++round) {
    round_keys_[static_cast<std::size_t>(round)] = derive_seed(key, static_cast<std::uint64_t>(round));
  }
}

inline std::uint64_t Permutation::through_network(std::uint64_t value) const {
  std::uint64_t high = value >> low_bits_;
  std::uint64_t low = value & low_mask_;
  for (std::size_t round = 0; round < kRounds; round += 2) {
    high ^= mix(low, round_keys_[round]) & high_mask_;
    low ^= mix(high, round_keys_[round + 1]) & low_mask_;
  }
  return (high << low_bits_) | low;
}

std::uint64_t Permutation::operator()(std::uint64_t index) const {
  // The network permutes a domain less than twice as large as [0, size); following the cycle of `index` until it comes back inside gives a
  // permutation of [0, size) itself.
  std::uint64_t value = index;
  do {
    value = through_network(value);
  } while (value >= size_);
  return value;
}

void Permutation::fill(std::uint64_t first, std::int64_t count, std::int64_t* values) const {
  // A first pass without branches, whose multiplications overlap; then those that fell outside walk on.
  for (std::int64_t i = 0; i < count; ++i) values[i] = static_cast<std::int64_t>(through_network(first + static_cast<std::uint64_t>(i)));
  for (std::int64_t i = 0; i < count; ++i) {
    auto value = static_cast<std::uint64_t>(values[i]);
    while (value >= size_) value = through_network(value);
    values[i] = static_cast<std::int64_t>(value);
  }
}

}  // namespace rechost
