#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "data/row_counts.h"
#include "data/value_index.h"
#include "data/value_runs.h"
#include "data/vocabulary.h"

namespace rechost {

/// The distinct values of one table in one chunk. Small enough to stay in a core's cache while the chunk is counted.
struct ChunkValues {
  IntegerIndex integers;
  StringIndex strings;
  std::vector<std::int64_t> counts;  ///< by number: occurrences in training rows; 0 for values of other rows only
  std::int64_t missing = 0;          ///< in training rows

  void clear();
  /// Counts for values that have come since.
  void grow_counts() { counts.resize(static_cast<std::size_t>(integers.size() + strings.size()), 0); }
};

/// Learns one table from chunks. Which numbers values get on the way depends on the order of merge() and on spill(); the finished vocabulary
/// does not.
class VocabularyBuilder {
 public:
  explicit VocabularyBuilder(TableEncoding encoding);

  const TableEncoding& encoding() const { return encoding_; }

  /// Tables that learn values: adds a chunk's; numbers[n] is the number here of the chunk's value n. One thread at a time.
  void merge(const ChunkValues& chunk, std::vector<std::int32_t>& numbers);
  /// Other tables: counts the rows of one column of a chunk. Several threads at once.
  void count_rows(std::span<const std::int32_t> rows);
  void count_row(std::int32_t row, std::int64_t times);
  /// rows[i] as often as times[i].
  void count_rows(std::span<const std::int32_t> rows, std::span<const std::uint32_t> times);

  /// Memory that it takes, at most, while `chunk` is merged, or when it spills or finishes after that.
  std::uint64_t memory_bytes_with(const ChunkValues& chunk) const;
  /// Writes its values to a temporary file in `directory` and forgets them: a value that comes again gets another number. Error: no room.
  void spill(const std::filesystem::path& directory);
  bool holds_values() const { return integers_.size() + strings_.size() > 0; }
  bool spilled() const { return integer_runs_ != nullptr || string_runs_ != nullptr; }
  /// Numbers that it gave. Past 2^31 those of merge() are no longer numbers of one value: nobody may need them.
  std::int64_t numbers() const { return forgotten_numbers_ + integers_.size() + strings_.size(); }

  /// The finished encoder. Tables that learn values: (*row_of_number)[n] is the row of the value that merge() called n; null: nobody asks. Once.
  Vocabulary finish(std::vector<std::int32_t>* row_of_number);

 private:
  template <typename Index, typename Value>
  std::vector<CountedValue<Value>> take_sorted(Index& index);
  template <typename Index, typename Value>
  void spill_values(Index& index, std::unique_ptr<ValueRuns<Value>>& runs, const std::filesystem::path& directory);
  template <typename Index, typename Value>
  auto all_values(Index& index, const std::unique_ptr<ValueRuns<Value>>& runs);
  Vocabulary finish_buckets(std::vector<std::int32_t>* row_of_number);
  template <typename Index, typename Value>
  Vocabulary finish_values(Index& index, std::unique_ptr<ValueRuns<Value>>& runs, std::vector<std::int32_t>* row_of_number);

  TableEncoding encoding_;
  IntegerIndex integers_;
  StringIndex strings_;
  std::vector<std::int64_t> counts_;  ///< of learnt values by number from forgotten_numbers_ on
  RowTally tally_;                    ///< of tables that learn nothing
  std::unique_ptr<ValueRuns<std::int64_t>> integer_runs_;
  std::unique_ptr<ValueRuns<std::string_view>> string_runs_;
  std::filesystem::path directory_;  ///< of the runs
  std::int64_t forgotten_numbers_ = 0;
  std::int64_t missing_ = 0;
  std::mutex counting_;
};

}  // namespace rechost
