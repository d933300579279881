#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "embedding/row_order.h"

namespace rechost {

/// Rows [first, first + count) of a table.
struct RowRange {
  std::int64_t first = 0;
  std::int64_t count = 0;
  std::int64_t end() const { return first + count; }
};

/// Nanoseconds of a rank for each byte that it sends to or receives from another, copies on the way included.
struct WireCosts {
  double within = 0.2;   ///< a rank of the same node
  double between = 0.5;  ///< a rank of another one

  /// Those of links that carry so many 10^9 bytes a second; where none are given (0), as `otherwise` has it.
  static WireCosts of_speeds(double within_gb, double between_gb, const WireCosts& otherwise) {
    return {within_gb > 0.0 ? 1.0 / within_gb : otherwise.within, between_gb > 0.0 ? 1.0 / between_gb : otherwise.between};
  }
};

/// Which ranks share a node, and so reach each other faster than the others.
class RankLayout {
 public:
  /// All on one node. Implicit: where nodes do not matter, a number of ranks says it all.
  RankLayout(int world_size) : RankLayout(world_size, world_size) {}
  /// As many ranks on each node; on the last one what is left.
  RankLayout(int world_size, int ranks_per_node);
  /// By rank the name of its node. Nodes are numbered as they come.
  explicit RankLayout(const std::vector<std::string>& node_names);

  int world_size() const { return static_cast<int>(node_of_.size()); }
  int node_count() const { return static_cast<int>(ranks_of_.size()); }
  int node_of(int rank) const { return node_of_[static_cast<std::size_t>(rank)]; }
  /// Ascending.
  const std::vector<int>& ranks_of(int node) const { return ranks_of_[static_cast<std::size_t>(node)]; }
  /// Of the node with fewest.
  int fewest_ranks() const;
  /// By rank.
  std::span<const int> nodes() const { return node_of_; }
  const WireCosts& wire() const { return wire_; }
  void set_wire(const WireCosts& wire) { wire_ = wire; }

 private:
  /// The next rank is of that node, which has ranks already or is the next one.
  void add_rank(int node);

  std::vector<int> node_of_;                ///< by rank
  std::vector<std::vector<int>> ranks_of_;  ///< by node
  WireCosts wire_;
};

/// How a table is spread over ranks.
enum class Sharding {
  kAuto,          ///< as Placement sees fit; never what a table has in the end
  kTableWise,     ///< whole on one rank
  kRowWise,       ///< ranges of rows over all ranks
  kRowWiseHash,   ///< likewise, of the scattered RowOrder
  kColumnWise,    ///< ranges of columns over all ranks, each of all rows
  kDataParallel,  ///< all ranks hold all rows: lookups need nobody else, and every rank makes the same updates
  kTableRowWise,  ///< ranges of rows over the ranks of one node
  kGrid,          ///< ranges of columns over the nodes, each of ranges of rows over the ranks of its node
};

/// Whether only some ranks hold something of a table.
constexpr bool is_on_some(Sharding sharding) { return sharding == Sharding::kTableWise || sharding == Sharding::kTableRowWise; }

/// Throws ConfigError for an unknown name.
Sharding sharding_of(std::string_view name);
std::string_view sharding_name(Sharding sharding);

/// Columns [first, first + count) of a row.
struct ColumnRange {
  std::int64_t first = 0;
  std::int64_t count = 0;
};

/// What one rank holds of a table: some columns of the rows at some places of the table's order.
struct TableShard {
  RowRange places;
  ColumnRange columns;
  bool is_empty() const { return places.count == 0 || columns.count == 0; }
};

/// What training reads of a table in a step, on average. 0: not known.
struct RowTraffic {
  double rank_rows = 0.0;      ///< distinct rows that one rank's part of a batch reads
  double batch_rows = 0.0;     ///< distinct rows of the whole batch
  double fullest_range = 0.0;  ///< of rank_rows, the share in that of the ranges of kRowWise which has most; 0: all have as many
};

/// What decides where a table goes.
struct TableSize {
  static constexpr int kAnyRank = -1;

  std::string name;
  std::int64_t rows = 0;
  std::int64_t bytes_per_row = 0;  ///< values and optimizer state
  Sharding sharding = Sharding::kAuto;
  int rank = kAnyRank;  ///< that holds the whole table; kTableRowWise: one of the node that does
  std::int64_t dim = 1;
  std::int64_t columns_at_once = 1;  ///< a range of columns begins at a multiple of it
  std::string whole_row_rule = {};   ///< the optimizer, where it needs all columns of a row in one place; empty: it does not
  RowTraffic traffic = {};
};

/// Which rank holds which part of which table. A pure function of its arguments, so every rank makes the same.
class Placement {
 public:
  /// Tables that nobody has said more about lie where choose_shards() puts them. One rank: it holds everything. `bytes_per_rank`: most that the tables
  /// of a rank may take, with their state; 0: no limit. Throws ConfigError, naming the table, for a rank that is not there, for one that a table on all
  /// ranks should have, and for columns of a table whose optimizer needs whole rows; and for tables that do not fit.
  Placement(std::vector<TableSize> tables, RankLayout ranks, std::int64_t bytes_per_rank = 0);

  const RankLayout& ranks() const { return ranks_; }
  int world_size() const { return ranks_.world_size(); }
  std::size_t table_count() const { return tables_.size(); }
  const std::vector<TableSize>& tables() const { return tables_; }
  Sharding sharding(std::size_t table) const { return shardings_[table]; }
  /// In which the shards of a table are ranges.
  const RowOrder& order(std::size_t table) const { return orders_[table]; }
  const TableShard& shard(std::size_t table, int rank) const { return shards_[table][static_cast<std::size_t>(rank)]; }
  /// Whether every rank holds the whole table.
  bool is_copied(std::size_t table) const { return shardings_[table] == Sharding::kDataParallel; }
  /// Whether a batch's rows of the table come from several ranks.
  bool is_split(std::size_t table) const { return shardings_[table] != Sharding::kTableWise && !is_copied(table); }
  /// Which rank is the first that holds something of the table; the last one where nobody does.
  int first_holder(std::size_t table) const;
  /// Whether ranks have to fetch what they show from each other.
  bool is_shown_together(std::size_t table) const { return is_split(table) && shardings_[table] != Sharding::kRowWise; }
  /// The rows of which the rank has anything lie in this range.
  RowRange held_rows(std::size_t table, int rank) const;
  /// The rows that the rank shows to the world (in checkpoints, in figures over whole tables), so that each row is shown once and ranks share the
  /// work where they can.
  RowRange shown_rows(std::size_t table, int rank) const;
  /// Rows that the rank with the most of them shows.
  std::int64_t most_shown_rows(std::size_t table) const;
  /// Of the tables, with their state.
  std::int64_t bytes(int rank) const;
  /// "rank 2" or "rows over 4 ranks".
  std::string describe(std::size_t table) const;

 private:
  void place_on_all(std::size_t table);
  void place_on_node(std::size_t table, int node);
  void place_on_grid(std::size_t table);
  void place_whole(std::size_t table, std::size_t holder);

  RankLayout ranks_;
  std::vector<TableSize> tables_;
  std::vector<Sharding> shardings_;
  std::vector<RowOrder> orders_;
  std::vector<std::vector<TableShard>> shards_;  ///< by table and rank; places of kRowWiseHash ascend over the ranks
};

}  // namespace rechost
