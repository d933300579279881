#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/batch.h"
#include "data/dataset.h"
#include "data/value_index.h"

namespace rechost {

/// The distinct users or items of some splits: one entry per key value, in ascending order of the key's row (of a dynamic table: of the key), with the encoded values of all
/// features of the entity as they were last seen. Keys that are unknown or missing have no entry. Immutable; reading from any thread.
class Catalogue {
 public:
  /// `splits`: the training split first; counts come from that one, values from the last split that has the entry. Reads them whole.
  /// ConfigError when no feature (or more than one) is the key of `entity`.
  Catalogue(const std::string& entity, std::span<const Dataset* const> splits);

  const std::string& entity() const { return entity_; }
  std::int64_t size() const { return static_cast<std::int64_t>(keys_.size()); }

  /// Only the entity's features, in the order of the full schema; no labels.
  const BatchSchema& schema() const { return schema_; }
  /// Where they are in the full schema: BatchSchema::dense and sparse. [schema().dense.size()], [schema().sparse.size()]
  const std::vector<std::size_t>& dense_columns() const { return dense_columns_; }
  const std::vector<std::size_t>& sparse_columns() const { return sparse_columns_; }
  /// Position of the key feature in the full schema's sparse features.
  std::size_t key_column() const { return key_column_; }

  /// The entry of a row of the key's table, or of a key of a dynamic one; -1 when it has none.
  std::int32_t entry_of(std::int64_t key) const;
  std::int64_t key(std::int64_t entry) const { return keys_[static_cast<std::size_t>(entry)]; }
  /// The entry of the value that is `place`th in a column of the key's table: the key feature, or candidates. -1 when it has none.
  std::int32_t entry_of(const IdColumn& column, std::size_t place) const { return entry_of(key_in(column, place)); }
  /// Ids that a value has in such a column: offsets count ids.
  std::size_t ids_per_key() const { return dynamic_ ? static_cast<std::size_t>(kIdsPerKey) : 1; }
  /// The key's original value.
  std::string key_text(std::int64_t entry) const;

  /// How often the entry is in the training split. [size()]
  std::span<const std::int64_t> counts() const { return counts_; }
  /// log(count / samples of the training split), with count 0 taken as 1. [size()]
  std::span<const float> log_probabilities() const { return log_probabilities_; }

  /// Replaces the columns of `batch`, shaped as schema(), by entries [first, first + count); batch.samples holds the entries.
  void fill(std::int64_t first, std::int64_t count, Batch& batch) const;
  void fill(std::span<const std::int32_t> entries, Batch& batch) const;

 private:
  /// A row of the key's table, or the key itself.
  std::int64_t key_in(const IdColumn& column, std::size_t place) const {
    return dynamic_ ? key_of_ids(column.ids.data() + place * ids_per_key()) : column.ids[place];
  }

  void find_columns(const BatchSchema& full);
  void collect_rows(std::span<const Dataset* const> splits);
  void collect_keys(std::span<const Dataset* const> splits);
  void add_entry(std::int64_t key, std::int64_t count, double samples);
  void collect_values(std::span<const Dataset* const> splits);

  std::string entity_;
  BatchSchema schema_;
  std::vector<std::size_t> dense_columns_;
  std::vector<std::size_t> sparse_columns_;
  std::size_t key_column_ = 0;
  std::shared_ptr<const Vocabularies> vocabularies_;
  std::string key_table_;
  bool dynamic_ = false;
  std::vector<std::int32_t> entry_of_row_;  ///< [rows of the key's table]; dynamic: by number in key_index_
  IntegerIndex key_index_;                  ///< dynamic
  std::vector<std::int64_t> keys_;          ///< [size()] rows, or keys
  std::vector<std::int64_t> counts_;
  std::vector<float> log_probabilities_;
  std::vector<float> dense_;                     ///< [size(), dense columns]
  std::vector<std::vector<std::int32_t>> single_;  ///< by sparse column: [size()], empty for lists
  std::vector<IdColumn> lists_;                  ///< by sparse column, empty for single ids
};

/// Lists of items by user, both as entries of their catalogues. Sorted, each item once.
struct UserItems {
  std::vector<std::int64_t> offsets;  ///< [users.size() + 1]
  std::vector<std::int32_t> items;
  /// Positive samples whose user is known but whose item has no entry: nothing can ever recommend it. [users.size()]
  std::vector<std::int32_t> unreachable;

  std::span<const std::int32_t> of(std::int64_t user) const {
    const auto begin = static_cast<std::size_t>(offsets[static_cast<std::size_t>(user)]);
    const auto end = static_cast<std::size_t>(offsets[static_cast<std::size_t>(user) + 1]);
    return {items.data() + begin, end - begin};
  }
};

/// What each user has in `split`: to mask what was seen in training (no `threshold`: every sample), or as ground truth (samples whose first
/// label is >= threshold; binary labels: 0.5; a split without labels: every sample).
UserItems collect_user_items(const Dataset& split, const Catalogue& users, const Catalogue& items, std::optional<float> threshold);

}  // namespace rechost
