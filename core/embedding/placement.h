#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace rechost {

/// Rows [first, first + count) of a table.
struct RowRange {
  std::int64_t first = 0;
  std::int64_t count = 0;
  std::int64_t end() const { return first + count; }
};

/// What decides where a table goes.
struct TableSize {
  std::string name;
  std::int64_t rows = 0;
  std::int64_t bytes_per_row = 0;  ///< values and optimizer state
};

/// Which rank holds which rows of which table. A pure function of the tables and the number of ranks, so every rank makes the same.
class Placement {
 public:
  /// A table is split by rows, in equal ranges over all ranks, when it alone is more than half of an even share of all bytes; the others
  /// go whole to the rank with the fewest bytes so far, the largest first. One rank: it holds everything.
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
