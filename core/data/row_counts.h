#pragma once

#include <cstdint>
#include <vector>

namespace rechost {

/// How often each row of a table occurs. Rows of a vocabulary come by descending count, so most of their counts are one run of equal
/// numbers: a few bytes for millions of rows.
class RowCounts {
 public:
  RowCounts() = default;
  /// One number per row: for counts in no order.
  explicit RowCounts(std::vector<std::int64_t> each);

  /// So many more rows with this count each. Not after the constructor that takes one number per row.
  void append(std::int64_t count, std::int64_t rows);
  /// All rows of `more`, which were appended there.
  void append(const RowCounts& more);

  std::int64_t size() const { return rows_; }
  std::int64_t operator[](std::int64_t row) const;
  /// [size()]
  std::vector<std::int64_t> all() const;
  /// Of all rows together.
  std::int64_t total() const;

 private:
  struct Run {
    std::int64_t end;  ///< the row behind it
    std::int64_t count;
  };

  std::vector<std::int64_t> each_;  ///< or empty, and
  std::vector<Run> runs_;
  std::int64_t rows_ = 0;
};

}  // namespace rechost
