#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace rechost {

/// Draws entries of a catalogue with probability proportional to count^power: a pure function of (seed, step, position), so that any rank
/// or thread can draw any part. Alias method (Walker 1977; construction by Vose, 1991): one random block per draw.
class NegativeSampler {
 public:
  /// power 0: uniform over all entries, counts of 0 included. Otherwise entries with count 0 are never drawn. DataError when nothing can be.
  NegativeSampler(std::span<const std::int64_t> counts, double power, std::uint64_t seed);

  /// entries[i] is the draw at `first_position + i` of `step`. Any thread.
  void draw(std::int64_t step, std::int64_t first_position, std::span<std::int32_t> entries) const;
  /// log of the probability of each entry, -infinity where it is never drawn: the correction of sampled softmax. [counts.size()]
  std::span<const float> log_probabilities() const { return log_probabilities_; }

 private:
  struct Cell {
    double keep;         ///< probability of the cell's own entry
    std::int32_t alias;  ///< the other one
  };

  std::uint64_t seed_;
  std::vector<Cell> cells_;
  std::vector<float> log_probabilities_;
};

}  // namespace rechost
