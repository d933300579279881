#pragma once

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "bench/loading/report.h"

namespace rechost::bench {

/// Times of the rounds of one side.
class Rounds {
 public:
  void add(double time) { times_.push_back(time); }
  bool empty() const { return times_.empty(); }
  double median() const { return at(0.5); }
  /// Distance between the quartiles, as a share of the median.
  double spread() const { return (at(0.75) - at(0.25)) / at(0.5); }

 private:
  /// Between neighbours where `share` falls between two.
  double at(double share) const {
    std::vector<double> sorted = times_;
    std::sort(sorted.begin(), sorted.end());
    const double place = share * static_cast<double>(sorted.size() - 1);
    const auto below = static_cast<std::size_t>(place);
    const std::size_t above = std::min(below + 1, sorted.size() - 1);
    return sorted[below] + (place - static_cast<double>(below)) * (sorted[above] - sorted[below]);
  }
  std::vector<double> times_;
};

}  // namespace rechost::bench
