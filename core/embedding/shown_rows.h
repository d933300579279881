#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "embedding/embedding_tables.h"

namespace rechost {

/// The rows of a table that this rank shows (Placement::shown_rows()), in ascending order. Where they lie with several ranks these fetch them from each
/// other, each its own at the same time: all ranks make the same readers in the same order, and bring each to its end before the next. Nothing
/// more than some thousand rows is kept meanwhile.
class ShownRows {
 public:
  enum class What { kValues, kState };

  ShownRows(const EmbeddingTables& tables, std::size_t table, What what);

  /// Rows [first, first + count), after those of the call before. `out`: [count, dim] or [count, state_floats_per_row].
  void read(std::int64_t first, std::int64_t count, float* out);
  /// Does what other ranks need of this one. After the last read(), also where there was none.
  void finish();

 private:
  void next_round();

  const EmbeddingTables& tables_;
  std::size_t table_;
  What what_;
  bool together_;
  std::int64_t row_floats_;
  RowRange shown_;
  std::int64_t rounds_left_ = 0;
  std::int64_t first_;  ///< of the rows in kept_
  std::int64_t end_;    ///< one past the last of them
  std::vector<float> kept_;
};

}  // namespace rechost
