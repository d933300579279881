// What a step is expected to read of a table, against ids that are drawn.
#include "train/row_traffic.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <random>
#include <set>

#include "data/order.h"

using namespace rechost;

namespace {

struct Drawn {
  double rank_rows = 0.0;
  double batch_rows = 0.0;
  std::vector<double> by_range;
};

/// The mean of some batches whose ids come as often as `counts` says.
Drawn draw(const std::vector<std::int64_t>& counts, std::int64_t rows, int ids, int ranks) {
  std::mt19937_64 random(3);
  std::discrete_distribution<std::int64_t> row(counts.begin(), counts.end());
  Drawn drawn;
  drawn.by_range.resize(static_cast<std::size_t>(ranks));
  constexpr int kBatches = 200;
  for (int batch = 0; batch < kBatches; ++batch) {
    std::set<std::int64_t> of_batch;
    std::set<std::int64_t> of_rank;
    for (int i = 0; i < ids; ++i) {
      const std::int64_t id = row(random);
      of_batch.insert(id);
      if (i < ids / ranks) of_rank.insert(id);
    }
    drawn.batch_rows += static_cast<double>(of_batch.size()) / kBatches;
    drawn.rank_rows += static_cast<double>(of_rank.size()) / kBatches;
    for (const std::int64_t id : of_rank) {
      int range = 0;
      while (id >= share_of(rows, {range, ranks}).end) ++range;
      drawn.by_range[static_cast<std::size_t>(range)] += 1.0 / kBatches;
    }
  }
  return drawn;
}

}  // namespace

TEST_CASE("distinct rows and the fullest range are what drawn batches have") {
  std::vector<std::int64_t> zipf;
  RowCounts runs;
  for (std::int64_t row = 0; row < 5000; ++row) {
    zipf.push_back(1 + 20000 / (row + 1));
    runs.append(zipf.back(), 1);
  }
  const RowCounts each(zipf);
  for (const int ranks : {2, 5}) {
    const Drawn drawn = draw(zipf, 5000, 1000, ranks);
    for (const RowCounts* const counts : {static_cast<const RowCounts*>(&runs), &each}) {
      const RowTraffic traffic = expected_traffic(counts, 5000, 1000.0, ranks);
      CHECK(traffic.rank_rows == Approx(drawn.rank_rows).epsilon(0.02));
      CHECK(traffic.batch_rows == Approx(drawn.batch_rows).epsilon(0.02));
      CHECK(traffic.fullest_range == Approx(*std::max_element(drawn.by_range.begin(), drawn.by_range.end()) / drawn.rank_rows).epsilon(0.03));
    }
  }
}

TEST_CASE("rows of which nothing was counted are read alike") {
  const Drawn drawn = draw(std::vector<std::int64_t>(3000, 1), 3000, 2000, 4);
  const RowTraffic traffic = expected_traffic(nullptr, 3000, 2000.0, 4);
  CHECK(traffic.rank_rows == Approx(drawn.rank_rows).epsilon(0.02));
  CHECK(traffic.batch_rows == Approx(drawn.batch_rows).epsilon(0.02));
  CHECK(traffic.fullest_range == 0.0);
  const RowCounts none;
  CHECK(expected_traffic(&none, 3000, 2000.0, 4).rank_rows == traffic.rank_rows);
}
