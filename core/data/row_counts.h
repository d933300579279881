#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "data/page_memory.h"

namespace rechost {

/// How often each row of a table occurs. Rows of a vocabulary come by descending count, so most of their counts are one run of equal
/// numbers: a few bytes for millions of rows.
class RowCounts {
 public:
  RowCounts() = default;
  /// One number per row: for counts in no order.
  explicit RowCounts(std::span<const std::int64_t> each);

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
  /// Calls use(first, rows, count) for runs of neighbouring rows with the same count, in their order.
  template <typename Use>
  void for_each_run(const Use& use) const {
    std::int64_t begin = 0;
    for (const Run& run : runs_) {
      use(begin, run.end - begin, run.count);
      begin = run.end;
    }
    for (std::int64_t row = 0; row < rows_ && each_ != nullptr; ++row) use(row, std::int64_t{1}, (*this)[row]);
  }

 private:
  friend class RowTally;
  struct Run {
    std::int64_t end;  ///< the row behind it
    std::int64_t count;
  };

  std::shared_ptr<const PageMemory> each_;  ///< or null, and
  std::vector<Run> runs_;
  std::int64_t rows_ = 0;
  bool wide_ = false;  ///< each_ holds int64, else uint32
};

/// Counts the rows of a table of known size. Those of a large table are kept one by one until so many were counted that an array takes no more: then
/// only where neither a row nor its neighbours occur it takes no memory. Counts have 32 bits until 2^32 - 1 rows were counted, because memory is what
/// counting costs.
class RowTally {
 public:
  RowTally() = default;
  explicit RowTally(std::int64_t rows, std::uint64_t most_narrow = std::numeric_limits<std::uint32_t>::max());

  void add(std::span<const std::int32_t> rows);
  /// rows[i] as often as times[i]; one that comes 0 times may be no row.
  void add(std::span<const std::int32_t> rows, std::span<const std::uint32_t> times);
  void add(std::int32_t row, std::int64_t times);
  /// Once.
  RowCounts finish();

 private:
  /// Calls body(counts) with the array that can hold `more` of them.
  template <typename Body>
  void with_counts(std::uint64_t more, Body&& body);
  bool stays_few(std::uint64_t more);

  std::unordered_map<std::int32_t, std::int64_t> few_;  ///< while is_few_
  PageMemory counts_;
  std::int64_t rows_ = 0;
  std::uint64_t counted_ = 0;
  std::uint64_t most_narrow_ = 0;
  bool wide_ = false;
  bool is_few_ = false;
};

}  // namespace rechost
