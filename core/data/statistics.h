#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/thread_pool.h"
#include "data/source.h"

namespace rechost {

/// What `data stats` and `data inspect` tell of one column, as the loader delivers it (before any encoding).
struct ColumnStatistics {
  ColumnInfo column;
  std::int64_t rows = 0;
  std::int64_t missing = 0;   ///< null rows
  std::int64_t elements = 0;  ///< values that are there; lists: over all rows
  std::int64_t longest_list = 0;
  std::int64_t distinct = 0;      ///< exact, or the limit when distinct_is_exact is false: "more than"
  bool distinct_is_exact = true;  ///< false: counting stopped at the limit, top_values may lack some
  // Numbers only; not-a-number and infinite values are counted in `not_finite` and left out.
  std::int64_t not_finite = 0;
  double minimum = 0.0;
  double maximum = 0.0;
  double mean = 0.0;
  std::vector<std::pair<std::string, std::int64_t>> top_values;  ///< most frequent first, then by value
  /// Share of all elements that the 1, 10, 100, ... most frequent values have, as far as there are as many.
  std::vector<double> top_shares;
  /// How well this feature alone tells the first binary label: numbers by their order, ids by what their rows say of each other (label_leak.h).
  /// Of the values that are counted; nothing for other columns, and where the label does not vary.
  std::optional<double> label_auc;

  bool is_number() const { return column.type != ValueType::kString; }
  double missing_share() const { return rows == 0 ? 0.0 : static_cast<double>(missing) / static_cast<double>(rows); }
};

struct SplitStatistics {
  std::int64_t chunks = 0;
  std::int64_t declared_rows = 0;
  std::int64_t rows = 0;      ///< looked at, good
  std::int64_t bad_rows = 0;  ///< looked at, refused by the loader
  std::vector<BadRow> first_bad_rows;
  std::vector<ColumnStatistics> columns;
};

struct StatisticsOptions {
  std::int64_t max_rows = 0;  ///< stop after the chunk that reaches this many; 0: all
  std::int64_t distinct_limit = 500'000;  ///< per column; 30 bytes each, more for strings
  std::int64_t top_values = 10;
  std::int64_t first_bad_rows = 10;
};

/// From this AUC on a feature that alone tells the label is taken for one that is known only after it.
inline constexpr double kLeakAuc = 0.95;

/// Reads the source once. The result does not depend on the number of threads. A binary label's rate is its mean.
SplitStatistics compute_statistics(ChunkSource& source, const StatisticsOptions& options, ThreadPool& pool);

}  // namespace rechost
