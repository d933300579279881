#include "data/row_counts.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace rechost {

RowCounts::RowCounts(std::vector<std::int64_t> each) : each_(std::move(each)), rows_(static_cast<std::int64_t>(each_.size())) {}

void RowCounts::append(std::int64_t count, std::int64_t rows) {
  if (rows == 0) return;
  rows_ += rows;
  if (!runs_.empty() && runs_.back().count == count) {
    runs_.back().end = rows_;
  } else {
    runs_.push_back({rows_, count});
  }
}

void RowCounts::append(const RowCounts& more) {
  std::int64_t begin = 0;
  for (const Run& run : more.runs_) {
    append(run.count, run.end - begin);
    begin = run.end;
  }
}

std::int64_t RowCounts::operator[](std::int64_t row) const {
  if (!each_.empty()) return each_[static_cast<std::size_t>(row)];
  return std::upper_bound(runs_.begin(), runs_.end(), row, [](std::int64_t wanted, const Run& run) { return wanted < run.end; })->count;
}

std::int64_t RowCounts::total() const {
  std::int64_t sum = std::accumulate(each_.begin(), each_.end(), std::int64_t{0});
  std::int64_t begin = 0;
  for (const Run& run : runs_) sum += run.count * (run.end - std::exchange(begin, run.end));
  return sum;
}

std::vector<std::int64_t> RowCounts::all() const {
  if (!each_.empty()) return each_;
  std::vector<std::int64_t> counts;
  counts.reserve(static_cast<std::size_t>(rows_));
  for (const Run& run : runs_) counts.resize(static_cast<std::size_t>(run.end), run.count);
  return counts;
}

}  // namespace rechost
