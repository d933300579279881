#include "data/row_counts.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

namespace rechost {
namespace {

// Counts of a large table lie in memory: far enough ahead to hide that.
constexpr std::size_t kLookAhead = 16;

/// From so many rows on; each id all over a table touches a page of the array, 4 KiB.
constexpr std::int64_t kLargeTable = 1 << 22;
constexpr std::int64_t kRowsForOneOfFew = 64;

}  // namespace

RowCounts::RowCounts(std::span<const std::int64_t> each) : rows_(static_cast<std::int64_t>(each.size())), wide_(true) {
  PageMemory copied(each.size_bytes());
  if (!each.empty()) std::memcpy(copied.data(), each.data(), each.size_bytes());
  each_ = std::make_shared<const PageMemory>(std::move(copied));
}

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
  if (each_ != nullptr) return wide_ ? static_cast<const std::int64_t*>(each_->data())[row] : static_cast<const std::uint32_t*>(each_->data())[row];
  return std::upper_bound(runs_.begin(), runs_.end(), row, [](std::int64_t wanted, const Run& run) { return wanted < run.end; })->count;
}

std::int64_t RowCounts::total() const {
  std::int64_t sum = 0;
  for (std::int64_t row = 0; row < rows_ && each_ != nullptr; ++row) sum += (*this)[row];
  std::int64_t begin = 0;
  for (const Run& run : runs_) sum += run.count * (run.end - std::exchange(begin, run.end));
  return sum;
}

std::vector<std::int64_t> RowCounts::all() const {
  std::vector<std::int64_t> counts;
  counts.reserve(static_cast<std::size_t>(rows_));
  for (std::int64_t row = 0; row < rows_ && each_ != nullptr; ++row) counts.push_back((*this)[row]);
  for (const Run& run : runs_) counts.resize(static_cast<std::size_t>(run.end), run.count);
  return counts;
}

RowTally::RowTally(std::int64_t rows, std::uint64_t most_narrow)
    : counts_(static_cast<std::size_t>(rows) * sizeof(std::uint32_t)), rows_(rows), most_narrow_(most_narrow), is_few_(rows >= kLargeTable) {}

/// Whether so many more are still few.
bool RowTally::stays_few(std::uint64_t more) {
  if (!is_few_) return false;
  if (counted_ + more <= static_cast<std::uint64_t>(rows_ / kRowsForOneOfFew)) {
    counted_ += more;
    return true;
  }
  is_few_ = false;
  counted_ = 0;
  for (const auto& [row, times] : few_) add(row, times);
  few_ = {};
  return false;
}

template <typename Body>
void RowTally::with_counts(std::uint64_t more, Body&& body) {
  counted_ += more;
  if (!wide_ && counted_ > most_narrow_) {
    PageMemory wide(static_cast<std::size_t>(rows_) * sizeof(std::int64_t));
    const auto* const narrow = static_cast<const std::uint32_t*>(counts_.data());
    std::copy(narrow, narrow + rows_, static_cast<std::int64_t*>(wide.data()));
    counts_ = std::move(wide);
    wide_ = true;
  }
  if (wide_) {
    body(static_cast<std::int64_t*>(counts_.data()));
  } else {
    body(static_cast<std::uint32_t*>(counts_.data()));
  }
}

void RowTally::add(std::span<const std::int32_t> rows) {
  if (stays_few(rows.size())) {
    for (const std::int32_t row : rows) ++few_[row];
    return;
  }
  with_counts(rows.size(), [rows](auto* counts) {
    const std::size_t prefetched = rows.size() - std::min(rows.size(), kLookAhead);
    for (std::size_t i = 0; i < prefetched; ++i) {
      __builtin_prefetch(counts + rows[i + kLookAhead], 1);
      ++counts[rows[i]];
    }
    for (std::size_t i = prefetched; i < rows.size(); ++i) ++counts[rows[i]];
  });
}

void RowTally::add(std::span<const std::int32_t> rows, std::span<const std::uint32_t> times) {
  const std::uint64_t more = std::accumulate(times.begin(), times.end(), std::uint64_t{0});
  if (stays_few(more)) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (times[i] != 0) few_[rows[i]] += times[i];
    }
    return;
  }
  with_counts(more, [rows, times]<typename Count>(Count* counts) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (i + kLookAhead < rows.size()) __builtin_prefetch(counts + rows[i + kLookAhead], 1);
      if (times[i] != 0) counts[rows[i]] += static_cast<Count>(times[i]);
    }
  });
}

void RowTally::add(std::int32_t row, std::int64_t times) {
  if (stays_few(static_cast<std::uint64_t>(times))) {
    few_[row] += times;
    return;
  }
  with_counts(static_cast<std::uint64_t>(times), [row, times]<typename Count>(Count* counts) { counts[row] += static_cast<Count>(times); });
}

RowCounts RowTally::finish() {
  RowCounts counts;
  if (is_few_) {
    std::vector<std::pair<std::int32_t, std::int64_t>> few(few_.begin(), few_.end());
    std::sort(few.begin(), few.end());
    for (const auto& [row, times] : few) {
      counts.append(0, row - counts.size());
      counts.append(times, 1);
    }
    counts.append(0, rows_ - counts.size());
    few_ = {};
    return counts;
  }
  counts.each_ = std::make_shared<const PageMemory>(std::move(counts_));
  counts.rows_ = rows_;
  counts.wide_ = wide_;
  return counts;
}

}  // namespace rechost
