#include "train/row_traffic.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "data/order.h"

namespace rechost {
namespace {

/// How likely rows of each count are among so many ids; remembered for small counts, which most rows have.
class Chances {
 public:
  Chances(double ids, double total) : each_(ids / total), known_(4096, -1.0) {}

  double of(std::int64_t count) {
    if (count >= static_cast<std::int64_t>(known_.size())) return chance(count);
    double& known = known_[static_cast<std::size_t>(count)];
    if (known < 0.0) known = chance(count);
    return known;
  }

 private:
  double chance(std::int64_t count) const { return -std::expm1(-each_ * static_cast<double>(count)); }

  double each_;
  std::vector<double> known_;
};

}  // namespace

RowTraffic expected_traffic(const RowCounts* counts, std::int64_t rows, double ids, int ranks) {
  RowTraffic traffic;
  const double total = counts == nullptr ? 0.0 : static_cast<double>(counts->total());
  if (total == 0.0) {
    Chances of_rank(ids / ranks, static_cast<double>(rows));
    Chances of_batch(ids, static_cast<double>(rows));
    traffic.rank_rows = static_cast<double>(rows) * of_rank.of(1);
    traffic.batch_rows = static_cast<double>(rows) * of_batch.of(1);
    return traffic;
  }
  Chances of_rank(ids / ranks, total);
  Chances of_batch(ids, total);
  std::vector<double> by_range(static_cast<std::size_t>(ranks), 0.0);
  int range = 0;
  counts->for_each_run([&](std::int64_t first, std::int64_t run_rows, std::int64_t count) {
    const double chance = of_rank.of(count);
    traffic.batch_rows += static_cast<double>(run_rows) * of_batch.of(count);
    const std::int64_t end = std::min(first + run_rows, rows);
    while (first < end) {
      while (range + 1 < ranks && first >= share_of(rows, {range, ranks}).end) ++range;
      const std::int64_t until = range + 1 < ranks ? std::min(end, share_of(rows, {range, ranks}).end) : end;
      by_range[static_cast<std::size_t>(range)] += static_cast<double>(until - first) * chance;
      first = until;
    }
  });
  for (const double of_range : by_range) traffic.rank_rows += of_range;
  if (traffic.rank_rows > 0.0) traffic.fullest_range = *std::max_element(by_range.begin(), by_range.end()) / traffic.rank_rows;
  return traffic;
}

}  // namespace rechost
