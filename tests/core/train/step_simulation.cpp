// Steps on machines that are not there, where the result is known by hand.
#include "train/step_simulation.h"

#include <catch2/catch.hpp>
#include <limits>

#include "train/dense_gradients.h"

using namespace rechost;

namespace {

constexpr double kForever = std::numeric_limits<double>::infinity();

Placement one_table(int ranks, Sharding sharding, double rank_rows = 100.0) {
  TableSize table{"t", 100000, 68, sharding, TableSize::kAnyRank, 16};
  table.traffic = {.rank_rows = rank_rows, .batch_rows = rank_rows, .fullest_range = 0.0};
  return Placement({table}, ranks);
}

Cluster cluster_of(int nodes, int ranks_per_node) {
  Cluster cluster;
  cluster.nodes = nodes;
  cluster.ranks_per_node = ranks_per_node;
  cluster.within = cluster.between = {0.0, kForever};
  return cluster;
}

}  // namespace

TEST_CASE("messages that take no time leave the work") {
  for (const int ranks : {1, 2, 8}) {
    const SimulatedStep step = simulate_step(one_table(ranks, Sharding::kRowWise), cluster_of(1, ranks), {.seconds = 0.5, .dense_parameters = 1000});
    CHECK(step.seconds == Approx(step.compute));
    CHECK(step.compute > 0.5);
    CHECK(step.messages == Approx(0.0).margin(1e-12));
    CHECK(step.bytes == Approx(0.0).margin(1e-12));
  }
}

TEST_CASE("four all-to-alls of so many messages, and one beside them") {
  for (const int ranks : {2, 3, 16}) {
    Cluster cluster = cluster_of(1, ranks);
    cluster.within.message_seconds = 1.0;
    const SimulatedStep step = simulate_step(one_table(ranks, Sharding::kRowWise), cluster, {.seconds = 0.0, .dense_parameters = 1000});
    CHECK(step.messages == Approx(4.0 * (ranks - 1)).epsilon(1e-3));
    // Across nodes a sender pays as much for each.
    Cluster apart = cluster_of(ranks, 1);
    apart.between.message_seconds = 1.0;
    CHECK(simulate_step(one_table(ranks, Sharding::kRowWise), apart, {.seconds = 0.0, .dense_parameters = 1000}).messages == Approx(4.0 * (ranks - 1)).epsilon(1e-3));
  }
}

TEST_CASE("what is sent beside the step takes time only where it is longer") {
  Cluster cluster = cluster_of(2, 1);
  cluster.between.message_seconds = 1.0;
  // Two halves of the sum of one bucket, after the backward pass; of four buckets all but the last lie inside it.
  StepShape shape{.seconds = 30.0, .dense_parameters = 1000};
  CHECK(simulate_step(one_table(2, Sharding::kRowWise), cluster, shape).seconds == Approx(30.0 + 4.0).epsilon(1e-3));
  shape.dense_parameters = 4 * gradient_bucket(2);
  CHECK(simulate_step(one_table(2, Sharding::kRowWise), cluster, shape).seconds == Approx(30.0 + 4.0).epsilon(1e-3));
  // A backward pass of 2 s: the first bucket is there after half a second of it, then eight messages in a row.
  shape.seconds = 3.0;
  CHECK(simulate_step(one_table(2, Sharding::kRowWise), cluster, shape).seconds == Approx(1.0 + 1.0 + 0.5 + 8.0 + 1.0).epsilon(1e-3));
}

TEST_CASE("the ranks of a node share its link") {
  // Dense gradients alone: each rank sends its part to all others, twice.
  const StepShape shape{.seconds = 0.0, .dense_parameters = std::int64_t{1} << 30};
  const auto bytes = static_cast<double>(shape.dense_parameters * 4);
  Cluster two = cluster_of(2, 1);
  two.between.bytes_per_second = 1e9;
  CHECK(simulate_step(one_table(2, Sharding::kRowWise), two, shape).bytes == Approx(2.0 * bytes / 2 / 1e9).epsilon(1e-3));
  Cluster eight = cluster_of(2, 4);
  eight.between.bytes_per_second = 1e9;
  // 4 ranks x 4 ranks of the other node x an eighth each.
  CHECK(simulate_step(one_table(8, Sharding::kRowWise), eight, shape).bytes == Approx(2.0 * 16 * bytes / 8 / 1e9).epsilon(0.05));
}

TEST_CASE("one holder of everything is slower than all") {
  Cluster cluster = cluster_of(16, 1);
  cluster.between.bytes_per_second = 1e9;
  const StepShape shape{.seconds = 0.0, .dense_parameters = 0};
  const SimulatedStep whole = simulate_step(one_table(16, Sharding::kTableWise, 50000.0), cluster, shape);
  const SimulatedStep spread = simulate_step(one_table(16, Sharding::kRowWiseHash, 50000.0), cluster, shape);
  CHECK(whole.seconds > 5.0 * spread.seconds);
  CHECK(spread.counted_bytes == 15 * 4);
}

TEST_CASE("a faster rank computes sooner") {
  Cluster cluster = cluster_of(1, 2);
  cluster.speed = 4.0;
  CHECK(simulate_step(one_table(2, Sharding::kRowWise), cluster, {.seconds = 2.0, .dense_parameters = 0}).seconds == Approx(0.5).epsilon(1e-2));
}
