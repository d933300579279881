#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/vocabulary.h"
#include "embedding/key_table.h"

namespace rechost {

/// What one batch does to the rows of a dynamic table. Made ahead of its step, in order of steps; comes into force when the step begins.
struct RowChanges {
  struct Admission {
    std::int32_t row = 0;
    std::int64_t key = 0;
  };
  struct Use {
    std::int32_t row = 0;
    std::int64_t count = 0;  ///< of its key, this batch included
  };

  std::int64_t step = 0;
  std::vector<std::int32_t> expired;          ///< rows whose key has not been seen for too long: free, before any are given
  std::vector<Admission> admitted;            ///< rows that have a new key, and are to start anew
  std::vector<Use> used;                      ///< rows of keys in the batch, those admitted by it included
  std::vector<std::int64_t> no_longer_pending;
  std::vector<KeyEntry> pending;              ///< keys in the batch that wait for admission, as they are now
  std::int64_t evicted = 0;                   ///< how many keys lost their row: those of `expired`, and those that another took the place of
  std::int64_t ids = 0;                       ///< occurrences of keys in the batch
  std::int64_t unadmitted_ids = 0;            ///< those that read the row for unknown keys

  void clear();
  std::uint64_t memory_bytes() const {
    return expired.size() * sizeof(std::int32_t) + admitted.size() * sizeof(Admission) + used.size() * sizeof(Use) + no_longer_pending.size() * sizeof(std::int64_t) + pending.size() * sizeof(KeyEntry);
  }
};

/// Which 64-bit key has which row of a dynamic table, as of some step: what lookups without training, checkpoints and exports read. Rows up to
/// Vocabulary::kFirstValueRow belong to no key. Keys that have been seen too seldom for a row are pending.
class KeyedRows {
 public:
  /// Since the first step of the run.
  struct Counters {
    std::int64_t admissions = 0;
    std::int64_t evictions = 0;
    std::int64_t ids = 0;
    std::int64_t unadmitted_ids = 0;
    double unadmitted_share() const { return ids > 0 ? static_cast<double>(unadmitted_ids) / static_cast<double>(ids) : 0.0; }
    bool operator==(const Counters&) const = default;
  };

  KeyedRows(std::string table, std::int64_t max_keys) : table_(std::move(table)), max_keys_(max_keys) {}

  const std::string& table() const { return table_; }
  std::int64_t max_keys() const { return max_keys_; }
  std::int64_t keys() const { return rows_.size(); }
  /// Whether some key has the row; without a limit of age those from Vocabulary::kFirstValueRow on, keys() of them.
  bool has_key(std::int64_t row) const {
    const std::int64_t entry = row - Vocabulary::kFirstValueRow;
    return entry >= 0 && entry < rows_.entry_limit() && rows_.used(static_cast<std::int32_t>(entry));
  }
  /// The key of a row that has one.
  const KeyEntry& entry_of(std::int32_t row) const { return rows_[row - Vocabulary::kFirstValueRow]; }
  const KeyTable& pending() const { return pending_; }
  const Counters& counters() const { return counters_; }

  /// Vocabulary::kUnknownRow for a key without a row.
  std::int32_t row_of(std::int64_t key) const {
    const std::int32_t entry = rows_.find(key);
    return entry == KeyTable::kNone ? Vocabulary::kUnknownRow : entry + Vocabulary::kFirstValueRow;
  }

  /// Changes of one batch after another, none left out.
  void apply(const RowChanges& changes);

  /// Keys of rows from kFirstValueRow on, in order of rows, kMissingKey with count and step 0 for one that is free again; pending keys in ascending
  /// order. restore() throws DataError naming the table for what cannot be: more keys than max_keys, a key twice, a count or step below 1.
  KeyArrays row_arrays() const;
  KeyArrays pending_arrays() const;
  void restore(const KeyArrays& rows, const KeyArrays& pending, const Counters& counters);

  std::uint64_t memory_bytes() const { return rows_.memory_bytes() + pending_.memory_bytes(); }

 private:
  friend class SlotMap;
  KeyTable restored(const KeyArrays& from, bool with_free_rows, const char* what) const;

  std::string table_;
  std::int64_t max_keys_ = 0;
  KeyTable rows_;  ///< entry e: row e + kFirstValueRow
  KeyTable pending_;
  Counters counters_;
};

}  // namespace rechost
