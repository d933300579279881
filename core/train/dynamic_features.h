#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/batch.h"
#include "data/value_index.h"
#include "data/vocabulary.h"
#include "embedding/embedding_tables.h"
#include "embedding/slot_map.h"

namespace rechost {

/// What is made of the dynamic features of one batch. Keeps its memory from batch to batch.
struct KeyedBatch {
  /// A column of keys, and the rows that they have become.
  struct Column {
    std::vector<std::int64_t> keys;
    std::vector<std::int32_t> ids;
    std::vector<std::int64_t> offsets;  ///< as in IdColumn
  };
  /// The keys of one dynamic table in training, over all columns that read it.
  struct Table {
    std::vector<std::int64_t> keys;     ///< as they come, those for missing values left out
    std::vector<std::int32_t> numbers;  ///< of each: in `distinct`
    IntegerIndex distinct;
    std::vector<std::int32_t> order;    ///< all numbers, by ascending key
    std::vector<std::int64_t> sorted;   ///< the distinct keys in that order, and how often each is there
    std::vector<std::int64_t> counts;
    std::vector<std::int32_t> rows;     ///< in that order
    std::vector<std::int32_t> row_of_number;
    RowChanges changes;
  };

  std::vector<Column> columns;  ///< by id column; empty for those that are not dynamic
  std::vector<Table> tables;

  std::uint64_t memory_bytes() const;
};

/// The dynamic tables of a model: which keys have which rows, in training and in use. Training alone gives rows to keys: begin_training(), then
/// assign() for each batch in order of steps, ahead of them, and apply() as each step begins. Everything else finds keys as of the last step applied.
class DynamicFeatures {
 public:
  /// An id column as the model reads it.
  struct ColumnSource {
    std::size_t table = 0;      ///< of the model
    std::size_t id_column = 0;
    const FeatureInfo* feature = nullptr;
  };

  /// Throws ConfigError when a table of the model is read by features of several dynamic tables, or by others as well.
  DynamicFeatures(const Vocabularies& vocabularies, std::span<const ColumnSource> sources, std::uint64_t seed);

  bool any() const { return !tables_.empty(); }
  bool is_dynamic(std::size_t id_column) const { return id_column < table_of_column_.size() && table_of_column_[id_column] != kNone; }
  /// The dynamic table that a table of the model has its rows from; null: none.
  const KeyedRows* keys_of(std::size_t model_table) const;
  /// All of them, by name of the data's table.
  std::vector<const KeyedRows*> all() const;

  /// Gives rows from here on as they stand now. Not while a batch is being prepared.
  void begin_training();

  /// Decodes a dynamic column of a batch of `rows` samples into keyed.columns[id_column]. Any thread, as all that follow but assign().
  void take(const IdColumn& column, std::int64_t rows, std::size_t id_column, KeyedBatch& keyed) const;
  /// As if all `rows` samples had an empty list.
  void take_empty_bags(std::int64_t rows, std::size_t id_column, KeyedBatch& keyed) const;
  /// Finds the rows of all columns as they stand. Not beside apply().
  void find(KeyedBatch& keyed) const;
  /// The same in training, which may give and take rows, in three parts: count(), assign() for one batch at a time in order of steps, place(). Throws
  /// DataError, see SlotMap.
  void count(KeyedBatch& keyed) const;
  void assign(std::int64_t step, KeyedBatch& keyed) const;
  void place(KeyedBatch& keyed) const;
  /// At the beginning of the batch's step.
  void apply(const KeyedBatch& keyed, EmbeddingTables& tables);

  /// From a checkpoint. DataError, see KeyedRows.
  void restore(const std::string& table, const KeyArrays& rows, const KeyArrays& pending, const KeyedRows::Counters& counters);

  /// What keys take when all rows have one, as of the step and ahead of it.
  std::uint64_t most_memory_bytes() const;

 private:
  static constexpr std::size_t kNone = ~std::size_t{0};

  struct Table {
    KeyedRows state;
    SlotMap::Settings settings;
    std::unique_ptr<SlotMap> map;             ///< null before begin_training()
    std::vector<std::size_t> model_tables;
    std::vector<std::size_t> id_columns;
  };

  std::vector<Table> tables_;
  std::vector<std::size_t> table_of_column_;  ///< by id column
  std::vector<bool> list_column_;             ///< by id column
};

}  // namespace rechost
