#include "embedding/placement_cost.h"

#include <algorithm>
#include <utility>

namespace rechost {
namespace {

/// Of a table of which nothing is known: as if it were read by a batch of usual size.
constexpr double kUnknownRows = 1024.0;

constexpr double kIdBytes = sizeof(std::int32_t);

/// What work on one table costs.
class Estimate {
 public:
  Estimate(const TableSize& table, const RankLayout& ranks, const PlacementCosts& costs)
      : table_(table), ranks_(ranks.world_size()), nodes_(ranks.node_count()), wire_(ranks.wire()), costs_(costs), value_bytes_(static_cast<double>(table.dim) * sizeof(float)) {
    const double near = ranks_ / nodes_ - 1.0;
    const double far = ranks_ - ranks_ / nodes_;
    any_rank_ = ranks_ > 1.0 ? (near * wire_.within + far * wire_.between) / (near + far) : 0.0;
    const auto most = static_cast<double>(table.rows);
    rank_rows_ = std::min(most, table.traffic.rank_rows > 0.0 ? table.traffic.rank_rows : kUnknownRows);
    batch_rows_ = std::clamp(table.traffic.batch_rows > 0.0 ? table.traffic.batch_rows : ranks_ * rank_rows_, rank_rows_, std::min(most, ranks_ * rank_rows_));
  }

  /// Of a holder with so large a share of the rows and columns, for all ranks, and its exchange with the others.
  RankLoad holder(double rows_share, double columns_share) const {
    const double row_bytes = static_cast<double>(table_.bytes_per_row) * columns_share;
    RankLoad load;
    load.bytes = static_cast<std::int64_t>(static_cast<double>(table_.rows * table_.bytes_per_row) * rows_share * columns_share);
    load.rows = ranks_ * rank_rows_ * rows_share;
    const double updated = batch_rows_ * rows_share;
    load.nanoseconds = costs_.table + load.rows * (costs_.lookup_row + 2.0 * value_bytes_ * columns_share * costs_.row_byte) +
                       (load.rows - updated) * costs_.repeated_row + updated * (costs_.update_row + 2.0 * row_bytes * costs_.row_byte);
    // Gradients are put together from those of all ranks. Rows go out and gradients come in; what a rank asks of itself is copied.
    load.nanoseconds += (load.rows * value_bytes_ * columns_share + rank_rows_ * rows_share * (kIdBytes + 2.0 * value_bytes_ * columns_share)) * costs_.copied_byte;
    add_wire(load, (ranks_ - 1.0) * rank_rows_ * rows_share * (kIdBytes + 2.0 * value_bytes_ * columns_share), any_rank_);
    return load;
  }

  /// Of a rank that has all its rows from others, of its node or of another one.
  RankLoad asking(bool own_node) const {
    RankLoad load;
    add_wire(load, rank_rows_ * (kIdBytes + 2.0 * value_bytes_), own_node ? wire_.within : wire_.between);
    return load;
  }

  /// Of each rank where all hold parts: what it does not hold it has from others. `id_copies`: how many holders are asked for a row.
  RankLoad parts(double rows_share, double columns_share, double id_copies) const {
    RankLoad load = holder(rows_share, columns_share);
    add_wire(load, rank_rows_ * (1.0 - rows_share * columns_share) * (kIdBytes * id_copies + 2.0 * value_bytes_), any_rank_);
    add_joining(load);
    return load;
  }

  /// Of each rank of the one node that has ranges of rows on all of its ranks.
  RankLoad on_node(double rows_share) const {
    RankLoad load = holder(rows_share, 1.0);
    add_wire(load, rank_rows_ * (1.0 - rows_share) * (kIdBytes + 2.0 * value_bytes_), wire_.within);
    add_joining(load);
    return load;
  }

  /// Of each rank where nodes have ranges of columns, and their ranks ranges of rows: the columns of its node it has from near.
  RankLoad grid(double rows_share, double columns_share) const {
    RankLoad load = holder(rows_share, columns_share);
    add_wire(load, rank_rows_ * (1.0 - rows_share) * (kIdBytes + 2.0 * value_bytes_ * columns_share), wire_.within);
    add_wire(load, rank_rows_ * (kIdBytes * (nodes_ - 1.0) + 2.0 * value_bytes_ * (1.0 - columns_share)), wire_.between);
    add_joining(load);
    return load;
  }

  RankLoad hashed(double rows_share) const {
    RankLoad load = parts(rows_share, 1.0, 1.0);
    load.nanoseconds += 2.0 * rank_rows_ * costs_.hash;
    return load;
  }

  /// Of each rank where all hold everything: gradients go to all and come from all.
  RankLoad copies() const {
    RankLoad load;
    load.bytes = table_.rows * table_.bytes_per_row;
    load.rows = rank_rows_;
    const double gradients = ranks_ * rank_rows_;
    load.nanoseconds = costs_.table + load.rows * (costs_.lookup_row + value_bytes_ * costs_.row_byte) + gradients * value_bytes_ * costs_.row_byte +
                       (gradients - batch_rows_) * costs_.repeated_row +
                       batch_rows_ * (costs_.update_row + 2.0 * static_cast<double>(table_.bytes_per_row) * costs_.row_byte);
    // Its own rows, its gradients for each copy, and those of all ranks put together.
    load.nanoseconds += (3.0 * rank_rows_ + 2.0 * gradients) * value_bytes_ * costs_.copied_byte;
    add_wire(load, 2.0 * (ranks_ - 1.0) * rank_rows_ * (kIdBytes + value_bytes_), any_rank_);
    return load;
  }

 private:
  static void add_wire(RankLoad& load, double bytes, double each) {
    load.wire_bytes += bytes;
    load.wire_nanoseconds += bytes * each;
    load.nanoseconds += bytes * each;
  }
  void add_joining(RankLoad& load) const { load.nanoseconds += costs_.joined_table + 2.0 * rank_rows_ * value_bytes_ * costs_.copied_byte; }

  const TableSize& table_;
  double ranks_;
  double nodes_;
  WireCosts wire_;
  double any_rank_ = 0.0;  ///< for a byte, where all other ranks send or get as many
  const PlacementCosts& costs_;
  double value_bytes_;
  double rank_rows_ = 0.0;
  double batch_rows_ = 0.0;
};

}  // namespace

TableCost::TableCost(const TableSize& table, const RankLayout& ranks, const PlacementCosts& costs) {
  const int world_size = ranks.world_size();
  const Estimate estimate(table, ranks, costs);
  const double share = 1.0 / world_size;
  const auto columns_share = [&](int parts) { return std::clamp(static_cast<double>(table.columns_at_once) / static_cast<double>(table.dim), 1.0 / parts, 1.0); };
  const auto may_be_cut = [&](int parts) { return table.whole_row_rule.empty() && table.dim >= table.columns_at_once * parts; };
  const double fullest = std::max(share, table.traffic.fullest_range);
  holder_ = estimate.holder(1.0, 1.0);
  asking_near_ = estimate.asking(true);
  asking_far_ = estimate.asking(false);
  by_rows_ = estimate.parts(fullest, 1.0, 1.0);
  by_hashed_rows_ = estimate.hashed(share);
  by_columns_ = estimate.parts(1.0, columns_share(world_size), world_size);
  copied_ = estimate.copies();
  const double node_share = std::max(1.0 / ranks.fewest_ranks(), fullest);  // the fullest range of fewer has no less
  for (int node = 0; node < ranks.node_count(); ++node) {
    const auto members = static_cast<int>(ranks.ranks_of(node).size());
    on_node_.push_back(estimate.on_node(std::max(1.0 / members, fullest)));
    on_node_.back().bytes = holder_.bytes / members;
  }
  on_grid_ = estimate.grid(node_share, columns_share(ranks.node_count()));
  by_rows_.bytes = by_hashed_rows_.bytes = holder_.bytes / world_size;  // ranges have equally many rows, however often they are read
  best_parts_ = by_hashed_rows_.nanoseconds < by_rows_.nanoseconds ? Sharding::kRowWiseHash : Sharding::kRowWise;
  const auto consider = [&](Sharding sharding) {
    if (each(sharding).nanoseconds < each(best_parts_).nanoseconds) best_parts_ = sharding;
  };
  if (may_be_cut(world_size)) consider(Sharding::kColumnWise);
  if (ranks.node_count() > 1 && may_be_cut(ranks.node_count())) consider(Sharding::kGrid);
}

const RankLoad& TableCost::load(ShardChoice where, int rank, const RankLayout& ranks) const {
  if (!is_on_some(where.sharding)) return each(where.sharding);
  const int node = ranks.node_of(where.rank);
  const bool near = ranks.node_of(rank) == node;
  return rank == where.rank || (near && where.sharding == Sharding::kTableRowWise) ? there(where.sharding, node) : asking(near);
}

const RankLoad& TableCost::each(Sharding sharding) const {
  switch (sharding) {
    case Sharding::kRowWiseHash:
      return by_hashed_rows_;
    case Sharding::kColumnWise:
      return by_columns_;
    case Sharding::kDataParallel:
      return copied_;
    case Sharding::kGrid:
      return on_grid_;
    case Sharding::kAuto:
    case Sharding::kTableWise:
    case Sharding::kTableRowWise:
    case Sharding::kRowWise:
      break;
  }
  return by_rows_;
}

std::vector<RankLoad> loads_of(const Placement& placement, const PlacementCosts& costs) {
  std::vector<RankLoad> loads(static_cast<std::size_t>(placement.world_size()));
  for (std::size_t t = 0; t < placement.table_count(); ++t) {
    const TableCost cost(placement.tables()[t], placement.ranks(), costs);
    const ShardChoice where{placement.sharding(t), placement.first_holder(t)};
    for (std::size_t rank = 0; rank < loads.size(); ++rank) {
      const RankLoad& of = cost.load(where, static_cast<int>(rank), placement.ranks());
      loads[rank].rows += of.rows;
      loads[rank].wire_bytes += of.wire_bytes;
      loads[rank].wire_nanoseconds += of.wire_nanoseconds;
      loads[rank].nanoseconds += of.nanoseconds;
    }
  }
  for (std::size_t rank = 0; rank < loads.size(); ++rank) loads[rank].bytes = placement.bytes(static_cast<int>(rank));
  return loads;
}

double longest(std::span<const RankLoad> loads) {
  double most = 0.0;
  for (const RankLoad& load : loads) most = std::max(most, load.nanoseconds);
  return most;
}

}  // namespace rechost
