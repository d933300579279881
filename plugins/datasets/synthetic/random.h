// Random numbers as a pure function of a counter: any row can be made alone, on any thread, and comes out the same.
#ifndef RECHOST_SYNTHETIC_RANDOM_H
#define RECHOST_SYNTHETIC_RANDOM_H

#include <cstdint>
#include <vector>

namespace synthetic {

inline constexpr std::uint64_t kGoldenGamma = 0x9e3779b97f4a7c15ull;

// The finaliser of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014).
inline std::uint64_t mix(std::uint64_t value) {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ull;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebull;
  return value ^ (value >> 31);
}

// Draw number `counter` of the stream named `key`.
inline std::uint64_t draw(std::uint64_t key, std::uint64_t counter) { return mix(key + (counter + 1) * kGoldenGamma); }

// In [0, 1), 53 bits.
inline double uniform(std::uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1p-53; }

// Standard normal values from a table of quantiles: linear inside a cell of probability 1/4096, exact in the two outermost
// cells, so that the tails are those of the normal distribution.
class NormalTable {
 public:
  static const NormalTable& instance();

  float operator()(std::uint64_t bits) const {
    const auto cell = static_cast<std::size_t>(bits >> 52);
    if (cell == 0 || cell == kCells - 1) return tail(bits);
    const float fraction = static_cast<float>(static_cast<std::int32_t>((bits >> 28) & 0xffffff)) * 0x1p-24f;
    return edges_[cell] + fraction * (edges_[cell + 1] - edges_[cell]);
  }

 private:
  static constexpr std::size_t kCells = 4096;
  NormalTable();
  static float tail(std::uint64_t bits);

  std::vector<float> edges_;  // [kCells + 1]; the first and last are never read
};

}  // namespace synthetic

#endif  // RECHOST_SYNTHETIC_RANDOM_H
