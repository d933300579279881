#include "data/vocabulary_builder.h"

#include <algorithm>
#include <functional>
#include <map>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/error.h"
#include "data/column_derivation.h"

namespace rechost {
namespace {

/// Room for the values of one vocabulary, filled in any order of rows.
class IntegerPlaces {
 public:
  void set_room(std::int64_t rows, std::uint64_t) { values_.resize(static_cast<std::size_t>(rows)); }
  static std::uint64_t bytes_of(std::int64_t) { return 0; }
  void put(std::int64_t row, std::uint64_t, std::int64_t value) { values_[static_cast<std::size_t>(row)] = value; }
  IntegerRows finish(std::uint64_t) { return IntegerRows(std::move(values_)); }

 private:
  std::vector<std::int64_t> values_;
};

class StringPlaces {
 public:
  void set_room(std::int64_t rows, std::uint64_t bytes) {
    ends_.resize(static_cast<std::size_t>(rows));
    characters_.resize(static_cast<std::size_t>(bytes));
  }
  static std::uint64_t bytes_of(std::string_view value) { return value.size(); }
  void put(std::int64_t row, std::uint64_t first_byte, std::string_view value) {
    std::copy(value.begin(), value.end(), characters_.begin() + static_cast<std::ptrdiff_t>(first_byte));
    ends_[static_cast<std::size_t>(row)] = first_byte + value.size();
  }
  StringRows finish(std::uint64_t bytes) {
    characters_.resize(static_cast<std::size_t>(bytes));
    return {std::move(characters_), std::move(ends_)};
  }

 private:
  std::vector<char> characters_;
  std::vector<std::uint64_t> ends_;
};

/// Values that occur equally often have neighbouring rows, in the order of the values.
struct Bucket {
  std::int64_t values = 0;
  std::uint64_t bytes = 0;
  std::int64_t next = 0;  ///< number (row - kFirstValueRow) of its next value, and where that is put
  std::int64_t end = 0;
  std::uint64_t next_byte = 0;
};

/// By count. Most values are rare: the buckets of small counts are found without a search.
class Buckets {
 public:
  Buckets() : small_(kSmallCounts) {}

  Bucket& at(std::int64_t count) { return count < kSmallCounts ? small_[static_cast<std::size_t>(count)] : large_[count]; }

  /// From the highest count down, those that hold values.
  template <typename Visit>
  void descend(Visit&& visit) {
    for (auto& [count, bucket] : large_) visit(count, bucket);
    for (std::int64_t count = kSmallCounts - 1; count >= 0; --count) {
      Bucket& bucket = small_[static_cast<std::size_t>(count)];
      if (bucket.values > 0) visit(count, bucket);
    }
  }

 private:
  static constexpr std::int64_t kSmallCounts = 4096;
  std::vector<Bucket> small_;
  std::map<std::int64_t, Bucket, std::greater<>> large_;
};

/// Sorting moves these 16 bytes, and seldom looks at the value itself.
struct SortKey {
  std::uint64_t order;  ///< where it differs, the values compare as it does
  std::uint32_t number;
};

std::uint64_t order_of(std::int64_t value) { return static_cast<std::uint64_t>(value) ^ (std::uint64_t{1} << 63); }

std::uint64_t order_of(std::string_view value) {
  std::uint64_t order = 0;
  for (std::size_t i = 0; i < sizeof order; ++i) order = order << 8 | (i < value.size() ? static_cast<unsigned char>(value[i]) : 0U);
  return order;
}

std::uint64_t most_bytes(const std::vector<std::int64_t>& array, std::size_t more) {
  const std::size_t wanted = array.size() + more;
  return (wanted <= array.capacity() ? array.capacity() : array.capacity() + std::max(wanted, 2 * array.capacity())) * sizeof(std::int64_t);
}

}  // namespace

void ChunkValues::clear() {
  integers.clear();
  strings.clear();
  counts.clear();
  missing = 0;
}

VocabularyBuilder::VocabularyBuilder(TableEncoding encoding) : encoding_(std::move(encoding)) {
  if (encoding_.learns_values() || encoding_.encoder == EncoderKind::kDynamic) return;
  tally_ = RowTally(Vocabulary(encoding_).rows());
}

void VocabularyBuilder::merge(const ChunkValues& chunk, std::vector<std::int32_t>& numbers) {
  missing_ += chunk.missing;
  numbers.resize(chunk.counts.size());
  if (encoding_.values == ValueKind::kInteger) {
    integers_.insert_all(chunk.integers.values(), numbers.data());
  } else {
    std::vector<std::string_view> values(numbers.size());
    for (std::size_t n = 0; n < values.size(); ++n) values[n] = chunk.strings.value(static_cast<std::int32_t>(n));
    strings_.insert_all(values, numbers.data());
  }
  counts_.resize(static_cast<std::size_t>(integers_.size() + strings_.size()), 0);
  for (std::size_t n = 0; n < numbers.size(); ++n) counts_[static_cast<std::size_t>(numbers[n])] += chunk.counts[n];
  if (forgotten_numbers_ == 0) return;
  for (std::int32_t& number : numbers) number = static_cast<std::int32_t>(number + forgotten_numbers_);
}

void VocabularyBuilder::count_rows(std::span<const std::int32_t> rows) {
  // One lock for a whole column costs less than an atomic addition for each row, and the sums do not depend on the order of the threads.
  const std::lock_guard lock(counting_);
  tally_.add(rows);
}

void VocabularyBuilder::count_rows(std::span<const std::int32_t> rows, std::span<const std::uint32_t> times) {
  const std::lock_guard lock(counting_);
  tally_.add(rows, times);
}

void VocabularyBuilder::count_row(std::int32_t row, std::int64_t times) {
  const std::lock_guard lock(counting_);
  tally_.add(row, times);
}

std::uint64_t VocabularyBuilder::memory_bytes_with(const ChunkValues& chunk) const {
  if (!encoding_.learns_values()) return 0;
  const auto more = static_cast<std::int64_t>(chunk.counts.size());
  const auto values = counts_.size() + chunk.counts.size();
  const std::uint64_t counts = most_bytes(counts_, chunk.counts.size());
  if (encoding_.values == ValueKind::kInteger) {
    return integers_.memory_bytes_with(more) + counts + values * (sizeof(CountedValue<std::int64_t>) + sizeof(SortKey));
  }
  return strings_.memory_bytes_with(more, chunk.strings.character_count()) + counts + values * (sizeof(CountedValue<std::string_view>) + sizeof(SortKey));
}

/// The values in ascending order; strings are borrowed from the index. The counts are given up.
template <typename Index, typename Value>
std::vector<CountedValue<Value>> VocabularyBuilder::take_sorted(Index& index) {
  std::vector<SortKey> keys(counts_.size());
  for (std::size_t n = 0; n < keys.size(); ++n) keys[n] = {order_of(index.value(static_cast<std::int32_t>(n))), static_cast<std::uint32_t>(n)};
  std::sort(keys.begin(), keys.end(), [&index](const SortKey& left, const SortKey& right) {
    if (left.order != right.order || std::is_same_v<Index, IntegerIndex>) return left.order < right.order;
    return index.value(static_cast<std::int32_t>(left.number)) < index.value(static_cast<std::int32_t>(right.number));
  });
  std::vector<CountedValue<Value>> entries;
  entries.reserve(keys.size());
  for (const SortKey& key : keys) {
    entries.push_back({index.value(static_cast<std::int32_t>(key.number)), counts_[key.number], key.number + forgotten_numbers_});
  }
  forgotten_numbers_ += static_cast<std::int64_t>(counts_.size());
  counts_ = {};
  if constexpr (std::is_same_v<Index, IntegerIndex>) index = {};
  return entries;
}

template <typename Index, typename Value>
void VocabularyBuilder::spill_values(Index& index, std::unique_ptr<ValueRuns<Value>>& runs, const std::filesystem::path& directory) {
  if (index.size() == 0) return;
  try {
    if (runs == nullptr) runs = std::make_unique<ValueRuns<Value>>(directory);
    runs->add_run(take_sorted<Index, Value>(index));
  } catch (const Error& error) {
    fail<DataError>("the vocabulary of table \"{}\" is larger than data.vocabulary_memory_gib and cannot be sorted on disk: {}; raise that limit, or "
                    "name a directory with room as data.temporary_path",
                    encoding_.name, error.what());
  }
  index = {};
}

void VocabularyBuilder::spill(const std::filesystem::path& directory) {
  directory_ = directory;
  if (encoding_.values == ValueKind::kInteger) {
    spill_values(integers_, integer_runs_, directory);
  } else {
    spill_values(strings_, string_runs_, directory);
  }
}

Vocabulary VocabularyBuilder::finish(std::vector<std::int32_t>* row_of_number) {
  if (encoding_.encoder == EncoderKind::kDynamic) return Vocabulary(encoding_);
  if (!encoding_.learns_values()) {
    Vocabulary made(encoding_);
    made.set_counts(tally_.finish());
    return made;
  }
  if (spilled()) spill(directory_);
  if (encoding_.encoder == EncoderKind::kBucket) return finish_buckets(row_of_number);
  return encoding_.values == ValueKind::kInteger ? finish_values(integers_, integer_runs_, row_of_number)
                                                 : finish_values(strings_, string_runs_, row_of_number);
}

/// The values learnt, ascending, from memory or from disk: for_each(take).
template <typename Index, typename Value>
auto VocabularyBuilder::all_values(Index& index, const std::unique_ptr<ValueRuns<Value>>& runs) {
  auto in_memory = runs == nullptr ? take_sorted<Index, Value>(index) : std::vector<CountedValue<Value>>{};
  return [in_memory = std::move(in_memory), &runs](const typename ValueRuns<Value>::Take& take) {
    if (runs != nullptr) return runs->merge(take);
    for (const CountedValue<Value>& entry : in_memory) take(entry.value, entry.count, {&entry.number, 1});
  };
}

/// A new bucket begins with the value before which there is the next share of the training rows. Values that are more frequent than a share
/// leave buckets out.
Vocabulary VocabularyBuilder::finish_buckets(std::vector<std::int32_t>* row_of_number) {
  const auto all_numbers = static_cast<std::size_t>(numbers());
  const auto for_each_value = all_values<IntegerIndex, std::int64_t>(integers_, integer_runs_);
  std::int64_t occurrences = 0;
  for_each_value([&](std::int64_t, std::int64_t count, std::span<const std::int64_t>) { occurrences += count; });

  if (row_of_number != nullptr) row_of_number->assign(all_numbers, 0);
  TableEncoding encoding = encoding_;
  std::vector<std::int64_t> counts{0};
  std::int64_t before = 0;
  std::int64_t share = 0;
  for_each_value([&](std::int64_t key, std::int64_t count, std::span<const std::int64_t> numbers) {
    if (count > 0) {
      const auto own = static_cast<std::int64_t>(static_cast<__int128>(before) * encoding.buckets / occurrences);
      if (own > share) {
        encoding.boundaries.push_back(value_of_order_key(key));
        counts.push_back(0);
        share = own;
      }
      counts.back() += count;
      before += count;
    }
    if (row_of_number == nullptr) return;
    for (const std::int64_t number : numbers) (*row_of_number)[static_cast<std::size_t>(number)] = static_cast<std::int32_t>(counts.size()) - 1;
  });
  integer_runs_ = nullptr;
  counts.push_back(missing_);
  Vocabulary made(std::move(encoding));
  made.set_counts(RowCounts(counts));
  return made;
}

template <typename Index, typename Value>
Vocabulary VocabularyBuilder::finish_values(Index& index, std::unique_ptr<ValueRuns<Value>>& runs, std::vector<std::int32_t>* row_of_number) {
  const auto all_numbers = static_cast<std::size_t>(numbers());
  const auto for_each_value = all_values<Index, Value>(index, runs);
  using Places = std::conditional_t<std::is_same_v<Value, std::int64_t>, IntegerPlaces, StringPlaces>;

  // How many values there are of each count says which rows they get; then they are put there, still in the order of the values.
  Buckets buckets;
  std::int64_t occurrences = 0;
  const std::int64_t least = std::max<std::int64_t>(encoding_.min_count, 1);  // values of validation rows alone have count 0
  for_each_value([&](Value value, std::int64_t count, std::span<const std::int64_t>) {
    occurrences += count;
    if (count < least) return;
    Bucket& bucket = buckets.at(count);
    ++bucket.values;
    bucket.bytes += Places::bytes_of(value);
  });
  std::int64_t kept = 0;
  std::uint64_t bytes = 0;
  std::int64_t kept_occurrences = 0;
  RowCounts value_counts;
  buckets.descend([&](std::int64_t count, Bucket& bucket) {
    const std::int64_t room = encoding_.max_rows > 0 ? encoding_.max_rows - kept : bucket.values;
    bucket.next = kept;
    bucket.next_byte = bytes;
    kept += std::min(bucket.values, room);
    bucket.end = kept;
    if (bucket.end > bucket.next) bytes += bucket.bytes;
    kept_occurrences += count * (bucket.end - bucket.next);
    value_counts.append(count, bucket.end - bucket.next);
  });

  Places places;
  places.set_room(kept, bytes);
  if (row_of_number != nullptr) row_of_number->assign(all_numbers, Vocabulary::kUnknownRow);
  std::uint64_t used_bytes = 0;
  for_each_value([&](Value value, std::int64_t count, std::span<const std::int64_t> numbers) {
    if (count < least) return;
    Bucket& bucket = buckets.at(count);
    if (bucket.next == bucket.end) return;
    places.put(bucket.next, bucket.next_byte, value);
    if (row_of_number != nullptr) {
      for (const std::int64_t number : numbers) {
        (*row_of_number)[static_cast<std::size_t>(number)] = static_cast<std::int32_t>(Vocabulary::kFirstValueRow + bucket.next);
      }
    }
    ++bucket.next;
    bucket.next_byte += Places::bytes_of(value);
    used_bytes = std::max(used_bytes, bucket.next_byte);
  });
  runs = nullptr;

  Vocabulary made(encoding_, places.finish(used_bytes));
  RowCounts row_counts;
  row_counts.append(occurrences - kept_occurrences, 1);  // kUnknownRow
  row_counts.append(missing_, 1);
  row_counts.append(value_counts);
  made.set_counts(std::move(row_counts));
  return made;
}

}  // namespace rechost
