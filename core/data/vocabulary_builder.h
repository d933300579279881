#pragma once

#include <cstdint>
#include <vector>

#include "data/value_index.h"
#include "data/vocabulary.h"

namespace rechost {

/// The distinct values of one table in one chunk. Small enough to stay in a core's cache while the chunk is counted.
struct ChunkValues {
  IntegerIndex integers;
  StringIndex strings;
  std::vector<std::int64_t> counts;  ///< by number: occurrences in training rows; 0 for values of other rows only
  std::int64_t missing = 0;          ///< in training rows

  void clear();
};

/// Learns one table from chunks. Which numbers values get on the way depends on the order of merge(); the finished vocabulary does not.
class VocabularyBuilder {
 public:
  explicit VocabularyBuilder(TableEncoding encoding);

  const TableEncoding& encoding() const { return encoding_; }

  /// Vocabulary tables: adds a chunk's values; numbers[n] is the number here of the chunk's value n. One thread at a time.
  void merge(const ChunkValues& chunk, std::vector<std::int32_t>& numbers);
  /// Identity and hash tables: counts rows. Several threads at once.
  void count_row(std::int32_t row);

  /// The finished encoder; row_of_number[n] is the row of the value that merge() called n (vocabulary tables only). Once.
  Vocabulary finish(std::vector<std::int32_t>& row_of_number);

 private:
  template <typename Index>
  Vocabulary finish_values(const Index& index, std::vector<std::int32_t>& row_of_number) const;

  TableEncoding encoding_;
  IntegerIndex integers_;
  StringIndex strings_;
  std::vector<std::int64_t> counts_;  ///< vocabulary: by number; others: by row
  std::int64_t missing_ = 0;
};

}  // namespace rechost
