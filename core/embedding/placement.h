#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace rechost {

/// Rows [first, first + count) of a table.
struct RowRange {
  std::int64_t first = 0;
  std::int64_t count = 0;
  std::int64_t end() const { return first + count; }
};

/// How a table is spread over ranks: as Placement sees fit, whole on one rank, or in ranges of rows over all.
enum class Sharding { kAuto, kTableWise, kRowWise };

/// Throws ConfigError for an unknown name.
Sharding sharding_of(std::string_view name);

/// What decides where a table goes.
struct TableSize {
  static constexpr int kAnyRank = -1;

  std::string name;
  std::int64_t rows = 0;
  std::int64_t bytes_per_row = 0;  ///< values and optimizer state
  Sharding sharding = Sharding::kAuto;
  int rank = kAnyRank;  ///< that holds the whole table
};

/// Which rank holds which rows of which table. A pure function of the tables and the number of ranks, so every rank makes the same.
class Placement {
 public:
  /// Of the tables that nobody has said more about: one is split by rows, in equal ranges over all ranks, when it alone is more than half of an even
  /// share of all bytes; the others go whole to the rank with the fewest bytes so far, those with a rank of their own first, then the largest.
  /// One rank: it holds everything. Throws ConfigError, naming the table, for a rank that is not there, or that a split table should have.
  Placement(std::vector<TableSize> tables, int world_size);

  int world_size() const { return world_size_; }
  std::size_t table_count() const { return tables_.size(); }
  RowRange range(std::size_t table, int rank) const { return ranges_[table][static_cast<std::size_t>(rank)]; }
  /// Whether several ranks hold rows of the table.
  bool is_split(std::size_t table) const { return split_[table]; }
  /// Of the tables, with their state.
  std::int64_t bytes(int rank) const;
  /// "rank 2" or "rows over 4 ranks".
  std::string describe(std::size_t table) const;

 private:
  int world_size_;
  std::vector<TableSize> tables_;
  std::vector<std::vector<RowRange>> ranges_;  ///< by table and rank; ascending over the ranks
  std::vector<bool> split_;
};

}  // namespace rechost
