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
#include "train/key_exchange.h"

namespace rechost {

/// The dynamic features of one batch, or of one slice of it. Keeps its memory from batch to batch.
struct KeyedBatch {
  /// A column of keys, and the rows that they have become.
  struct Column {
    std::vector<std::int64_t> keys;
    std::vector<std::int32_t> ids;
    std::vector<std::int64_t> offsets;  ///< as in IdColumn
    std::vector<float> weights;         ///< [keys], likewise
    bool counted = true;                ///< in training: its keys occur; else they do so in another slice of the batch, and are read here as well
  };

  std::vector<Column> columns;  ///< by id column; empty for those that are not dynamic

  std::uint64_t memory_bytes() const;
};

/// What a training step does to the rows of dynamic tables, from the keys of all slices that this process has of it. Keeps its memory from step to step.
struct KeyedStep {
  /// The keys of one dynamic table in training, over all columns that read it.
  struct Table {
    std::vector<std::int64_t> keys;     ///< as they come, those for missing values left out
    std::vector<std::int32_t> numbers;  ///< of each: in `distinct`
    IntegerIndex distinct;
    std::vector<std::int32_t> order;    ///< all numbers, by ascending key
    KeyCounts seen;                     ///< in that order
    std::vector<std::int32_t> rows;     ///< in that order
    std::vector<std::int32_t> by_number;  ///< of each: how often it is there, once rows are given its row
    RowChanges changes;
  };

  std::vector<Table> tables;

  std::uint64_t memory_bytes() const;
};

/// The dynamic tables of a model: which keys have which rows, in training and in use. Training alone gives rows to keys: begin_training(), then
/// assign() for each batch in order of steps, ahead of them, and apply() as each step begins. Everything else finds keys as of the last step applied.
/// Where there are several ranks each keeps all keys: rows are given by the keys of the whole batch, so all ranks give the same ones.
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

  /// Before begin_training(), where other ranks have the rest of each batch. As in KeyExchange.
  void exchange_with(Communicator& ranks) { exchange_ = std::make_unique<KeyExchange>(ranks); }
  /// Gives rows from here on as they stand now. Not while a batch is being prepared; once where there are several ranks.
  void begin_training();
  /// No step follows: a thread that waits in assign() for other ranks gets CommError. Any thread.
  void end_training();

  /// Decodes a dynamic column of a batch of `rows` samples into keyed.columns[id_column]; `counted` as there. Any thread, as all that follow but assign().
  void take(const IdColumn& column, std::int64_t rows, std::size_t id_column, bool counted, KeyedBatch& keyed) const;
  /// As if all `rows` samples had an empty list.
  void take_empty_bags(std::int64_t rows, std::size_t id_column, KeyedBatch& keyed) const;
  /// Finds the rows of all columns as they stand. Not beside apply().
  void find(KeyedBatch& keyed) const;
  /// The same in training, which may give and take rows, in three parts: count(), assign() for one step at a time in their order, place(). Throws
  /// DataError, see SlotMap, and CommError, see KeyExchange. `slices`: those that this process has of the batch.
  void count(std::span<const KeyedBatch* const> slices, KeyedStep& keyed) const;
  void assign(std::int64_t step, KeyedStep& keyed);
  void place(KeyedStep& keyed, std::span<KeyedBatch* const> slices) const;
  /// At the beginning of the step.
  void apply(const KeyedStep& keyed, EmbeddingTables& tables);

  /// From a checkpoint. DataError, see KeyedRows.
  void restore(const std::string& table, const KeyArrays& rows, const KeyArrays& pending, const KeyedRows::Counters& counters);

  /// What a key with a row takes, as of the step and ahead of it, and one more that waits for a row where some do.
  static std::uint64_t bytes_per_key(const TableEncoding& encoding);
  /// What keys take when all rows have one.
  std::uint64_t most_memory_bytes() const;

 private:
  static constexpr std::size_t kNone = ~std::size_t{0};

  struct Table {
    KeyedRows state;
    SlotMap::Settings settings;
    std::uint64_t bytes_per_key = 0;
    std::unique_ptr<SlotMap> map;             ///< null before begin_training()
    std::vector<std::int32_t> whole_rows;     ///< of assign(): of the keys of the whole batch
    std::vector<std::size_t> model_tables;
    std::vector<std::size_t> id_columns;
  };

  template <typename Slice, typename Use>
  void for_each_column(std::size_t table, std::span<Slice* const> slices, const Use& use) const;

  std::vector<Table> tables_;
  std::unique_ptr<KeyExchange> exchange_;     ///< null: all of each batch is here
  std::vector<KeyCounts> wholes_;             ///< of assign(): what the whole batch has, by table
  std::vector<std::size_t> table_of_column_;  ///< by id column
  std::vector<bool> list_column_;             ///< by id column
};

}  // namespace rechost
