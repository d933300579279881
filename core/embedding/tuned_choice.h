#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace rechost {

/// One of a few values with which the same work gives the same results, but is done in another time: each is tried on the work that comes anyway, and
/// the fastest stays. One thread at a time.
template <std::size_t kCount>
class TunedChoice {
 public:
  /// `candidates`: the first one is used for work that is too little to be timed, until the others have been tried.
  explicit constexpr TunedChoice(std::array<std::int64_t, kCount> candidates) : candidates_(candidates) { seconds_.fill(std::numeric_limits<double>::infinity()); }

  /// For the next piece of work.
  std::int64_t value() const { return candidates_[tuned() ? best_ : tries_ % kCount]; }
  bool tuned() const { return tries_ >= kTries * kCount; }

  /// What a unit of work took with value().
  void took(double seconds) {
    if (tuned()) return;
    // The least of some tries: everything that disturbs makes it longer.
    double& least = seconds_[tries_ % kCount];
    least = std::min(least, seconds);
    ++tries_;
    best_ = static_cast<std::size_t>(std::min_element(seconds_.begin(), seconds_.end()) - seconds_.begin());
  }

 private:
  static constexpr std::size_t kTries = 6;

  std::array<std::int64_t, kCount> candidates_;
  std::array<double, kCount> seconds_;
  std::size_t tries_ = 0;
  std::size_t best_ = 0;
};

}  // namespace rechost
