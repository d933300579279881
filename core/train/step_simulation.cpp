#include "train/step_simulation.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "embedding/placement_cost.h"

namespace rechost {
namespace {

constexpr double kIdBytes = sizeof(std::int32_t);
constexpr double kNanosecond = 1e-9;

/// What goes to or comes from each holder in a step, per asking rank, and what the holder computes.
struct Holder {
  double ids = 0.0;        ///< bytes from each rank
  double rows = 0.0;       ///< bytes to each rank
  double gradients = 0.0;  ///< bytes from each rank
  double compute = 0.0;    ///< seconds
};

std::vector<Holder> holders_of(const Placement& placement) {
  PlacementCosts costs;
  costs.wire_byte = 0.0;  // what messages take is simulated
  const std::vector<RankLoad> loads = loads_of(placement, costs);
  std::vector<Holder> holders(loads.size());
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
  for (std::size_t rank = 0; rank < holders.size(); ++rank) holders[rank].compute = loads[rank].nanoseconds * kNanosecond;
  return holders;
}

/// The clocks of all ranks and links.
class Clocks {
 public:
  explicit Clocks(const Cluster& cluster)
      : cluster_(cluster),
        ranks_(static_cast<std::size_t>(cluster.ranks())),
        ready_(ranks_, 0.0),
        out_(static_cast<std::size_t>(cluster.nodes), 0.0),
        in_(out_) {}

  void compute(std::size_t rank, double seconds) { ready_[rank] += seconds / cluster_.speed; }
  double latest() const { return *std::max_element(ready_.begin(), ready_.end()); }

  /// `bytes(from, to)` of each message.
  template <typename Bytes>
  void all_to_all(const Bytes& bytes) {
    const double first = *std::min_element(ready_.begin(), ready_.end());
    for (double& end : in_) end = std::max(end, first);
    std::vector<double> sender = ready_;
    std::vector<double> arrived = ready_;
    const auto per_node = static_cast<std::size_t>(cluster_.ranks_per_node);
    for (std::size_t step = 1; step < ranks_; ++step) {
      for (std::size_t from = 0; from < ranks_; ++from) {
        const std::size_t to = (from + step) % ranks_;
        const double size = bytes(from, to);
        if (size <= 0.0) continue;
        const std::size_t here = from / per_node;
        const std::size_t there = to / per_node;
        if (here == there) {
          sender[from] += cluster_.within.message_seconds + size / cluster_.within.bytes_per_second;
          arrived[to] = std::max(arrived[to], sender[from]);
          continue;
        }
        // The rank hands it over and goes on. What the link in cannot take at once waits in the network, in nobody's way.
        const double carried = size / cluster_.between.bytes_per_second;
        sender[from] += cluster_.between.message_seconds;
        out_[here] = std::max(sender[from], out_[here]) + carried;
        in_[there] += carried;
        arrived[to] = std::max({arrived[to], out_[here], in_[there]});
      }
    }
    for (std::size_t rank = 0; rank < ranks_; ++rank) ready_[rank] = std::max(sender[rank], arrived[rank]);
  }

 private:
  const Cluster& cluster_;
  std::size_t ranks_;
  std::vector<double> ready_;
  std::vector<double> out_;
  std::vector<double> in_;
};

double seconds_of(const std::vector<Holder>& holders, std::size_t tables, const Cluster& cluster, const StepShape& shape) {
  Clocks clocks(cluster);
  const std::size_t ranks = holders.size();
  const double counts = static_cast<double>(tables) * kIdBytes;
  clocks.all_to_all([&](std::size_t, std::size_t) { return counts; });
  clocks.all_to_all([&](std::size_t, std::size_t to) { return holders[to].ids; });
  // Lookups are about a third of what tables cost a holder, gradients and updates the rest.
  for (std::size_t rank = 0; rank < ranks; ++rank) clocks.compute(rank, holders[rank].compute / 3.0);
  clocks.all_to_all([&](std::size_t from, std::size_t) { return holders[from].rows; });
  for (std::size_t rank = 0; rank < ranks; ++rank) clocks.compute(rank, shape.seconds);
  clocks.all_to_all([&](std::size_t, std::size_t to) { return holders[to].gradients; });
  for (std::size_t rank = 0; rank < ranks; ++rank) clocks.compute(rank, holders[rank].compute * 2.0 / 3.0);
  const double part = static_cast<double>(shape.dense_parameters) * sizeof(float) / static_cast<double>(ranks);
  for (int half = 0; half < 2; ++half) clocks.all_to_all([&](std::size_t, std::size_t) { return part; });
  return clocks.latest();
}

}  // namespace

SimulatedStep simulate_step(const Placement& placement, const Cluster& cluster, const StepShape& shape) {
  const std::vector<Holder> holders = holders_of(placement);
  const std::size_t tables = placement.table_count();
  SimulatedStep step;
  step.seconds = seconds_of(holders, tables, cluster, shape);
  for (const Holder& holder : holders) step.compute = std::max(step.compute, (holder.compute + shape.seconds) / cluster.speed);
  Cluster free_messages = cluster;
  free_messages.within.message_seconds = free_messages.between.message_seconds = 0.0;
  step.messages = step.seconds - seconds_of(holders, tables, free_messages, shape);
  Cluster free_bytes = cluster;
  free_bytes.within.bytes_per_second = free_bytes.between.bytes_per_second = std::numeric_limits<double>::infinity();
  step.bytes = step.seconds - seconds_of(holders, tables, free_bytes, shape);
  step.counted_bytes = static_cast<std::int64_t>(kIdBytes) * static_cast<std::int64_t>(tables) * (cluster.ranks() - 1);
  return step;
}

}  // namespace rechost
