#include "train/step_simulation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "embedding/placement_cost.h"
#include "train/dense_gradients.h"

namespace rechost {
namespace {

constexpr double kIdBytes = sizeof(std::int32_t);
constexpr double kNanosecond = 1e-9;
/// Of a model's work: the backward pass has two products for each of the forward pass.
constexpr double kBackwardShare = 2.0 / 3.0;
/// Into which the sum of dense gradients is cut at most, each then of several buckets: thousands of buckets would be simulated for minutes.
constexpr double kMostParts = 16.0;

/// What goes to or comes from each holder in a step, per asking rank, and what the holder computes.
struct Holder {
  double ids = 0.0;        ///< bytes from each rank, with the counts before them
  double rows = 0.0;       ///< bytes to each rank
  double gradients = 0.0;  ///< bytes from each rank
  double compute = 0.0;    ///< seconds
};

std::vector<Holder> holders_of(const Placement& placement) {
  const std::vector<RankLoad> loads = loads_of(placement);
  std::vector<Holder> holders(loads.size(), Holder{.ids = static_cast<double>(placement.table_count()) * kIdBytes});
  for (std::size_t t = 0; t < placement.table_count(); ++t) {
    const TableSize& table = placement.tables()[t];
    const double rank_rows = table.traffic.rank_rows;
    for (std::size_t rank = 0; rank < holders.size(); ++rank) {
      const TableShard& shard = placement.shard(t, static_cast<int>(rank));
      if (shard.is_empty()) continue;
      const double asked = rank_rows * static_cast<double>(shard.places.count) / static_cast<double>(table.rows);
      const double values = asked * static_cast<double>(shard.columns.count) * sizeof(float);
      holders[rank].ids += asked * kIdBytes;
      holders[rank].rows += placement.is_copied(t) ? 0.0 : values;
      holders[rank].gradients += values;
    }
  }
  for (std::size_t rank = 0; rank < holders.size(); ++rank) holders[rank].compute = (loads[rank].nanoseconds - loads[rank].wire_nanoseconds) * kNanosecond;  // what messages take is simulated
  return holders;
}

/// When each rank's thread can go on. A rank has several, each with connections of its own.
using Times = std::vector<double>;

/// The links of all nodes, which all threads share.
class Links {
 public:
  explicit Links(const Cluster& cluster) : cluster_(cluster), out_(static_cast<std::size_t>(cluster.nodes), 0.0), in_(out_) {}

  /// `bytes(from, to)` go from each to each, in so many messages one after another, none where there are no bytes.
  template <typename Bytes>
  void all_to_all(Times& ready, const Bytes& bytes, double messages = 1.0) {
    const double first = *std::min_element(ready.begin(), ready.end());
    for (double& end : in_) end = std::max(end, first);
    Times sender = ready;
    Times arrived = ready;
    const auto per_node = static_cast<std::size_t>(cluster_.ranks_per_node);
    const std::size_t ranks = ready.size();
    for (std::size_t step = 1; step < ranks; ++step) {
      for (std::size_t from = 0; from < ranks; ++from) {
        const std::size_t to = (from + step) % ranks;
        const double size = bytes(from, to);
        if (size <= 0.0) continue;
        const std::size_t here = from / per_node;
        const std::size_t there = to / per_node;
        if (here == there) {
          sender[from] += messages * cluster_.within.message_seconds + size / cluster_.within.bytes_per_second;
          arrived[to] = std::max(arrived[to], sender[from]);
          continue;
        }
        // The rank hands it over and goes on. What the link in cannot take at once waits in the network, in nobody's way.
        const double carried = size / cluster_.between.bytes_per_second;
        sender[from] += messages * cluster_.between.message_seconds;
        out_[here] = std::max(sender[from], out_[here]) + carried;
        in_[there] += carried;
        arrived[to] = std::max({arrived[to], out_[here], in_[there]});
      }
    }
    for (std::size_t rank = 0; rank < ranks; ++rank) ready[rank] = std::max(sender[rank], arrived[rank]);
  }

 private:
  const Cluster& cluster_;
  std::vector<double> out_;
  std::vector<double> in_;
};

/// Gradients are there bucket by bucket, the last layer's first. The step waits for all of them at the end of its backward pass.
void reduce_dense(Links& links, const Cluster& cluster, const StepShape& shape, Times& ready) {
  const double backward = shape.seconds * kBackwardShare / cluster.speed;
  const double buckets = std::max(1.0, std::floor(static_cast<double>(shape.dense_parameters) / static_cast<double>(gradient_bucket(cluster.ranks()))));
  const double parts = std::min(buckets, kMostParts);
  const double bytes = static_cast<double>(shape.dense_parameters) * sizeof(float) / static_cast<double>(ready.size()) / parts;
  Times reduced = ready;
  for (double part = 1.0; part <= parts; ++part) {
    for (std::size_t rank = 0; rank < ready.size(); ++rank) reduced[rank] = std::max(reduced[rank], ready[rank] + backward * part / parts);
    for (int half = 0; half < 2; ++half) links.all_to_all(reduced, [&](std::size_t, std::size_t) { return bytes; }, buckets / parts);
  }
  ready = std::move(reduced);
}

double seconds_of(const std::vector<Holder>& holders, const Cluster& cluster, const StepShape& shape) {
  Links links(cluster);
  Times step(holders.size(), 0.0);
  const auto compute = [&](const auto& seconds) {
    for (std::size_t rank = 0; rank < step.size(); ++rank) step[rank] += seconds(holders[rank]) / cluster.speed;
  };
  Times ahead = step;
  links.all_to_all(ahead, [&](std::size_t, std::size_t to) { return holders[to].ids; });
  // Lookups are about a third of what tables cost a holder, gradients and updates the rest.
  compute([](const Holder& holder) { return holder.compute / 3.0; });
  links.all_to_all(step, [&](std::size_t from, std::size_t) { return holders[from].rows; });
  compute([&](const Holder&) { return shape.seconds * (1.0 - kBackwardShare); });
  reduce_dense(links, cluster, shape, step);
  links.all_to_all(step, [&](std::size_t, std::size_t to) { return holders[to].gradients; });
  compute([](const Holder& holder) { return holder.compute * 2.0 / 3.0; });
  // The next step begins with the ids that were sent beside this one.
  return std::max(*std::max_element(step.begin(), step.end()), *std::max_element(ahead.begin(), ahead.end()));
}

}  // namespace

SimulatedStep simulate_step(const Placement& placement, const Cluster& cluster, const StepShape& shape) {
  const std::vector<Holder> holders = holders_of(placement);
  const std::size_t tables = placement.table_count();
  SimulatedStep step;
  step.seconds = seconds_of(holders, cluster, shape);
  for (const Holder& holder : holders) step.compute = std::max(step.compute, (holder.compute + shape.seconds) / cluster.speed);
  Cluster free_messages = cluster;
  free_messages.within.message_seconds = free_messages.between.message_seconds = 0.0;
  step.messages = step.seconds - seconds_of(holders, free_messages, shape);
  Cluster free_bytes = cluster;
  free_bytes.within.bytes_per_second = free_bytes.between.bytes_per_second = std::numeric_limits<double>::infinity();
  step.bytes = step.seconds - seconds_of(holders, free_bytes, shape);
  step.counted_bytes = static_cast<std::int64_t>(kIdBytes) * static_cast<std::int64_t>(tables) * (cluster.ranks() - 1);
  return step;
}

}  // namespace rechost
