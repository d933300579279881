#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace rechost {

/// Streams one into the other, as evenly as their numbers of samples allow: sample k of a stream with n stands at (k + 1/2) / n of the
/// epoch. Any stretch of an epoch has each stream's share, up to one sample for each stream.
class StreamMix {
 public:
  /// Samples of each stream in an epoch, at least one in all.
  explicit StreamMix(std::vector<std::int64_t> counts);

  std::int64_t total() const { return total_; }
  /// How many samples of each stream come before `place`. [streams]
  std::vector<std::int64_t> before(std::int64_t place) const;
  /// The streams that samples [begin, end) are of. O(log streams) each.
  std::vector<std::uint32_t> streams(std::int64_t begin, std::int64_t end) const;

 private:
  class Walk;

  std::vector<std::int64_t> counts_;
  std::int64_t total_ = 0;
};

}  // namespace rechost
