#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "embedding/placement.h"

namespace rechost {

/// What tables that are shared by ranks cost in a training step, in nanoseconds of one rank; pooling, which costs the same wherever rows lie, is not in it,
/// and what links cost is in RankLayout::wire().
/// The figures are those of one machine, where bench_placement compares them with what steps take; placements depend on how they compare with each
/// other, and all ranks must use the same.
struct PlacementCosts {
  double lookup_row = 15.0;    ///< to find a row and copy it, beside its bytes
  double update_row = 35.0;    ///< to find it again and update it, beside its bytes
  double repeated_row = 12.0;  ///< for each further rank that has a gradient for it
  double row_byte = 0.06;      ///< of values and state, read or written
  double copied_byte = 0.25;   ///< to put together what came from several ranks, to take it apart, or to hand it to oneself
  double hash = 4.0;           ///< for each row that is scattered
  double table = 1000.0;        ///< for each table of which a rank holds something
  double joined_table = 300.0;  ///< for each table that comes from several ranks
};

/// What a rank has of all tables, and does for them in a step.
struct RankLoad {
  std::int64_t bytes = 0;          ///< of tables with their state
  double rows = 0.0;               ///< that it looks up, for all ranks
  double wire_bytes = 0.0;         ///< sent to and received from other ranks
  double wire_nanoseconds = 0.0;   ///< for them; part of the next
  double nanoseconds = 0.0;
};

/// Where one table lies: on `rank` where it is whole, on the node of `rank` for kTableRowWise.
struct ShardChoice {
  Sharding sharding = Sharding::kTableWise;
  int rank = 0;
};

/// What one table costs, under any choice.
class TableCost {
 public:
  TableCost(const TableSize& table, const RankLayout& ranks, const PlacementCosts& costs);

  /// Of the rank that holds the whole table.
  const RankLoad& holder() const { return holder_; }
  /// Of one that holds nothing of a table that lies on its node, or on another one.
  const RankLoad& asking(bool own_node) const { return own_node ? asking_near_ : asking_far_; }
  /// Of a rank of that node that holds something, where not all do: see is_on_some().
  const RankLoad& there(Sharding sharding, int node) const { return sharding == Sharding::kTableRowWise ? on_node_[static_cast<std::size_t>(node)] : holder_; }
  /// Of that rank, where the table lies so.
  const RankLoad& load(ShardChoice where, int rank, const RankLayout& ranks) const;
  /// Of each rank where all hold a part or a copy; the rank that has most to do.
  const RankLoad& each(Sharding sharding) const;
  /// The cheapest of those that the table may have, that are on all ranks and leave less than the whole of it on one.
  Sharding best_parts() const { return best_parts_; }

 private:
  RankLoad holder_;
  RankLoad asking_near_;
  RankLoad asking_far_;
  RankLoad by_rows_;
  RankLoad by_hashed_rows_;
  RankLoad by_columns_;
  RankLoad copied_;
  std::vector<RankLoad> on_node_;  ///< by node
  RankLoad on_grid_;
  Sharding best_parts_ = Sharding::kRowWise;
};

/// Of each rank.
std::vector<RankLoad> loads_of(const Placement& placement, const PlacementCosts& costs = {});

/// Of the rank that has most to do: what a step waits for.
double longest(std::span<const RankLoad> loads);

}  // namespace rechost
