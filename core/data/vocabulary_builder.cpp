#include "data/vocabulary_builder.h"

#include <algorithm>
#include <atomic>
#include <numeric>
#include <utility>

namespace rechost {
namespace {

template <typename Index>
void merge_values(const Index& chunk_index, const std::vector<std::int64_t>& chunk_counts, Index& index,
                  std::vector<std::int64_t>& counts, std::vector<std::int32_t>& numbers) {
  const auto size = static_cast<std::size_t>(chunk_index.size());
  numbers.resize(size);
  if constexpr (std::is_same_v<Index, IntegerIndex>) {
    index.insert_all(chunk_index.values(), numbers.data());
  } else {
    for (std::size_t n = 0; n < size; ++n) numbers[n] = index.insert(chunk_index.value(static_cast<std::int32_t>(n)));
  }
  counts.resize(static_cast<std::size_t>(index.size()), 0);
  for (std::size_t n = 0; n < size; ++n) counts[static_cast<std::size_t>(numbers[n])] += chunk_counts[n];
}

}  // namespace

void ChunkValues::clear() {
  integers.clear();
  strings.clear();
  counts.clear();
  missing = 0;
}

VocabularyBuilder::VocabularyBuilder(TableEncoding encoding) : encoding_(std::move(encoding)) {
  if (encoding_.encoder != EncoderKind::kVocabulary) counts_.resize(static_cast<std::size_t>(Vocabulary(encoding_).rows()), 0);
}

void VocabularyBuilder::merge(const ChunkValues& chunk, std::vector<std::int32_t>& numbers) {
  missing_ += chunk.missing;
  if (encoding_.values == ValueKind::kInteger) {
    merge_values(chunk.integers, chunk.counts, integers_, counts_, numbers);
  } else {
    merge_values(chunk.strings, chunk.counts, strings_, counts_, numbers);
  }
}

void VocabularyBuilder::count_row(std::int32_t row) {
  // Sums of integers do not depend on the order of the threads.
  std::atomic_ref(counts_[static_cast<std::size_t>(row)]).fetch_add(1, std::memory_order_relaxed);
}

Vocabulary VocabularyBuilder::finish(std::vector<std::int32_t>& row_of_number) {
  if (encoding_.encoder != EncoderKind::kVocabulary) {
    Vocabulary made(encoding_);
    made.set_counts(std::move(counts_));
    return made;
  }
  return encoding_.values == ValueKind::kInteger ? finish_values(integers_, row_of_number) : finish_values(strings_, row_of_number);
}

template <typename Index>
Vocabulary VocabularyBuilder::finish_values(const Index& index, std::vector<std::int32_t>& row_of_number) const {
  // Everything that is compared lies in the entry: looking values up while sorting would cost most of the time.
  struct Entry {
    std::int64_t count;
    decltype(index.value(0)) value;
    std::int32_t number;
  };
  std::vector<Entry> kept;
  const std::int64_t least = std::max<std::int64_t>(encoding_.min_count, 1);  // values of validation rows alone have count 0
  for (std::size_t n = 0; n < counts_.size(); ++n) {
    const auto number = static_cast<std::int32_t>(n);
    if (counts_[n] >= least) kept.push_back({counts_[n], index.value(number), number});
  }
  std::sort(kept.begin(), kept.end(), [](const Entry& left, const Entry& right) {
    return left.count != right.count ? left.count > right.count : left.value < right.value;
  });
  if (encoding_.max_rows > 0 && static_cast<std::int64_t>(kept.size()) > encoding_.max_rows) {
    kept.resize(static_cast<std::size_t>(encoding_.max_rows));
  }

  Index values;
  if constexpr (std::is_same_v<Index, IntegerIndex>) values.reserve(static_cast<std::int64_t>(kept.size()));
  std::vector<std::int64_t> row_counts(kept.size() + Vocabulary::kFirstValueRow, 0);
  row_of_number.assign(counts_.size(), Vocabulary::kUnknownRow);
  for (const Entry& entry : kept) {
    const std::int32_t row = Vocabulary::kFirstValueRow + values.insert(entry.value);
    row_of_number[static_cast<std::size_t>(entry.number)] = row;
    row_counts[static_cast<std::size_t>(row)] = entry.count;
  }
  Vocabulary made(encoding_, std::move(values));
  const std::int64_t all = std::accumulate(counts_.begin(), counts_.end(), std::int64_t{0});
  row_counts[Vocabulary::kUnknownRow] = all - std::accumulate(row_counts.begin(), row_counts.end(), std::int64_t{0});
  row_counts[static_cast<std::size_t>(made.missing_row())] = missing_;
  made.set_counts(std::move(row_counts));
  return made;
}

}  // namespace rechost
