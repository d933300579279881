#include "data/numpy_random.h"

#include <algorithm>
#include <numeric>

namespace rechost {
namespace {

/// SeedSequence(seed).generate_state(4, uint64): the entropy is the seed's 32-bit words, low one first.
std::array<std::uint64_t, 4> seed_words(std::uint64_t seed) {
  std::uint32_t hash = 0x43b0d7e5;
  const auto hashmix = [&hash](std::uint32_t value) {
    value ^= hash;
    hash *= 0x931e8875;
    value *= hash;
    return value ^ (value >> 16);
  };
  const auto mix = [](std::uint32_t left, std::uint32_t right) {
    const std::uint32_t value = left * 0xca01f9dd - right * 0x4973f715;
    return value ^ (value >> 16);
  };
  std::array<std::uint32_t, 4> pool{};
  const std::array<std::uint32_t, 4> entropy{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32), 0, 0};
  for (std::size_t i = 0; i < pool.size(); ++i) pool[i] = hashmix(entropy[i]);
  for (std::size_t source = 0; source < pool.size(); ++source) {
    for (std::size_t target = 0; target < pool.size(); ++target) {
      if (source != target) pool[target] = mix(pool[target], hashmix(pool[source]));
    }
  }
  std::array<std::uint64_t, 4> words{};
  std::uint32_t generate = 0x8b51f9dd;
  for (std::size_t i = 0; i < 8; ++i) {
    std::uint32_t value = pool[i % 4] ^ generate;
    generate *= 0x58f38ded;
    value *= generate;
    value ^= value >> 16;
    words[i / 2] |= std::uint64_t{value} << (32 * (i % 2));
  }
  return words;
}

}  // namespace

NumpyGenerator::NumpyGenerator(std::uint64_t seed) {
  const std::array<std::uint64_t, 4> words = seed_words(seed);
  const Word128 initial = (Word128{words[0]} << 64) | words[1];
  const Word128 sequence = (Word128{words[2]} << 64) | words[3];
  increment_ = (sequence << 1) | 1;
  state_ = (increment_ + initial) * kMultiplier + increment_;
}

std::uint64_t NumpyGenerator::bounded(std::uint64_t last) {
  if (last == 0) return 0;
  if (last > 0xFFFFFFFFull) {
    if (last == ~std::uint64_t{0}) return word64();
    const std::uint64_t count = last + 1;
    Word128 product = Word128{word64()} * count;
    if (static_cast<std::uint64_t>(product) < count) {
      const std::uint64_t threshold = (~std::uint64_t{0} - last) % count;
      while (static_cast<std::uint64_t>(product) < threshold) product = Word128{word64()} * count;
    }
    return static_cast<std::uint64_t>(product >> 64);
  }
  if (last == 0xFFFFFFFFull) return word32();
  const auto count = static_cast<std::uint32_t>(last) + 1;
  std::uint64_t product = std::uint64_t{word32()} * count;
  if (static_cast<std::uint32_t>(product) < count) {
    const std::uint32_t threshold = (0xFFFFFFFFu - static_cast<std::uint32_t>(last)) % count;
    while (static_cast<std::uint32_t>(product) < threshold) product = std::uint64_t{word32()} * count;
  }
  return product >> 32;
}

void NumpyGenerator::shuffle_tail(std::vector<std::uint32_t>& values, std::size_t first) {
  for (std::size_t i = values.size(); i-- > std::max<std::size_t>(first, 1);) std::swap(values[i], values[static_cast<std::size_t>(bounded(i))]);
}

std::vector<std::uint32_t> NumpyGenerator::choice(std::uint32_t count, std::uint32_t chosen) {
  if (count > 10000 && chosen > count / 50) {
    std::vector<std::uint32_t> all(count);
    std::iota(all.begin(), all.end(), 0);
    shuffle_tail(all, count - chosen);
    all.erase(all.begin(), all.end() - static_cast<std::ptrdiff_t>(chosen));
    return all;
  }
  // Floyd's method: the j-th draw is below j; one that is there already stands for j itself, which cannot be.
  std::vector<std::uint32_t> drawn(chosen);
  std::vector<bool> taken(count);
  for (std::uint32_t i = 0; i < chosen; ++i) {
    const std::uint32_t last = count - chosen + i;
    auto value = static_cast<std::uint32_t>(bounded(last));
    if (taken[value]) value = last;
    taken[value] = true;
    drawn[i] = value;
  }
  shuffle_tail(drawn, 1);
  return drawn;
}

}  // namespace rechost
