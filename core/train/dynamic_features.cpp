#include "train/dynamic_features.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"

namespace rechost {
namespace {

SlotMap::Settings settings_of(const TableEncoding& encoding, std::uint64_t seed) {
  return {.admit_after = encoding.min_count, .admit_probability = encoding.admit_probability, .evict = encoding.evict,
          .max_age_steps = encoding.max_age_steps, .half_life_steps = encoding.half_life_steps, .seed = seed};
}

template <typename Value>
std::uint64_t bytes_of(const std::vector<Value>& values) {
  return values.size() * sizeof(Value);
}

}  // namespace

std::uint64_t KeyedBatch::memory_bytes() const {
  std::uint64_t bytes = 0;
  for (const Column& column : columns) bytes += bytes_of(column.keys) + bytes_of(column.ids) + bytes_of(column.offsets) + bytes_of(column.weights);
  return bytes;
}

std::uint64_t KeyedStep::memory_bytes() const {
  std::uint64_t bytes = 0;
  for (const Table& table : tables) {
    bytes += bytes_of(table.keys) + bytes_of(table.numbers) + table.distinct.memory_bytes_with(0) + bytes_of(table.order) + table.seen.memory_bytes() +
             bytes_of(table.rows) + bytes_of(table.by_number) + table.changes.memory_bytes();
  }
  return bytes;
}

DynamicFeatures::DynamicFeatures(const Vocabularies& vocabularies, std::span<const ColumnSource> sources, std::uint64_t seed) {
  for (const ColumnSource& source : sources) {
    const std::string& name = source.feature->table;
    const Vocabulary& vocabulary = vocabularies.at(name);
    for (const ColumnSource& other : sources) {
      if (!vocabulary.dynamic() || other.table != source.table || other.feature->table == name) continue;
      fail<ConfigError>("features \"{}\" and \"{}\" read one table of the model, but the rows of \"{}\" are given to its own keys: set the same "
                        "features.<name>.table for both, or another encoder",
                        source.feature->name, other.feature->name, name);
    }
    if (table_of_column_.size() <= source.id_column) {
      table_of_column_.resize(source.id_column + 1, kNone);
      list_column_.resize(source.id_column + 1);
    }
    if (!vocabulary.dynamic()) continue;
    auto found = std::find_if(tables_.begin(), tables_.end(), [&](const Table& table) { return table.state.table() == name; });
    if (found == tables_.end()) {
      tables_.push_back({KeyedRows(name, vocabulary.encoding().max_rows), settings_of(vocabulary.encoding(), seed), bytes_per_key(vocabulary.encoding()), nullptr, {}, {}, {}});
      found = tables_.end() - 1;
    }
    const auto add = [](std::vector<std::size_t>& to, std::size_t value) {
      if (std::find(to.begin(), to.end(), value) == to.end()) to.push_back(value);
    };
    add(found->model_tables, source.table);
    add(found->id_columns, source.id_column);
    table_of_column_[source.id_column] = static_cast<std::size_t>(found - tables_.begin());
    list_column_[source.id_column] = source.feature->is_list;
  }
}

const KeyedRows* DynamicFeatures::keys_of(std::size_t model_table) const {
  for (const Table& table : tables_) {
    if (std::find(table.model_tables.begin(), table.model_tables.end(), model_table) != table.model_tables.end()) return &table.state;
  }
  return nullptr;
}

std::vector<const KeyedRows*> DynamicFeatures::all() const {
  std::vector<const KeyedRows*> all;
  for (const Table& table : tables_) all.push_back(&table.state);
  return all;
}

void DynamicFeatures::begin_training() {
  for (Table& table : tables_) table.map = std::make_unique<SlotMap>(table.settings, table.state);
  wholes_.resize(tables_.size());
}

void DynamicFeatures::end_training() {
  if (exchange_ != nullptr) exchange_->abort();
}

void DynamicFeatures::take(const IdColumn& column, std::int64_t rows, std::size_t id_column, bool counted, KeyedBatch& keyed) const {
  keyed.columns.resize(table_of_column_.size());
  KeyedBatch::Column& to = keyed.columns[id_column];
  to.counted = counted;
  to.keys.resize(column.ids.size() / static_cast<std::size_t>(kIdsPerKey));
  for (std::size_t i = 0; i < to.keys.size(); ++i) to.keys[i] = key_of_ids(column.ids.data() + i * static_cast<std::size_t>(kIdsPerKey));
  // Both halves of a key have its weight.
  to.weights.resize(column.weights.size() / static_cast<std::size_t>(kIdsPerKey));
  for (std::size_t i = 0; i < to.weights.size(); ++i) to.weights[i] = column.weights[i * static_cast<std::size_t>(kIdsPerKey)];
  to.offsets.clear();
  if (!list_column_[id_column]) {
    if (to.keys.size() != static_cast<std::size_t>(rows)) fail<Error>("{} keys for {} samples", to.keys.size(), rows);
    return;
  }
  for (const std::int64_t offset : column.offsets) to.offsets.push_back(offset / kIdsPerKey);
}

void DynamicFeatures::take_empty_bags(std::int64_t rows, std::size_t id_column, KeyedBatch& keyed) const {
  keyed.columns.resize(table_of_column_.size());
  keyed.columns[id_column].keys.clear();
  keyed.columns[id_column].weights.clear();
  keyed.columns[id_column].offsets.assign(static_cast<std::size_t>(rows) + 1, 0);
}

void DynamicFeatures::find(KeyedBatch& keyed) const {
  for (const Table& table : tables_) {
    for (const std::size_t id_column : table.id_columns) {
      KeyedBatch::Column& column = keyed.columns[id_column];
      column.ids.resize(column.keys.size());
      for (std::size_t i = 0; i < column.keys.size(); ++i) {
        column.ids[i] = column.keys[i] == kMissingKey ? Vocabulary::kMissingRow : table.state.row_of(column.keys[i]);
      }
    }
  }
}

/// In the order in which count() numbers their keys.
template <typename Slice, typename Use>
void DynamicFeatures::for_each_column(std::size_t table, std::span<Slice* const> slices, const Use& use) const {
  for (Slice* const slice : slices) {
    for (const std::size_t id_column : tables_[table].id_columns) use(slice->columns[id_column]);
  }
}

void DynamicFeatures::count(std::span<const KeyedBatch* const> slices, KeyedStep& keyed) const {
  keyed.tables.resize(tables_.size());
  for (std::size_t t = 0; t < tables_.size(); ++t) {
    KeyedStep::Table& own = keyed.tables[t];
    own.keys.clear();
    own.distinct.clear();
    for_each_column(t, slices, [&own](const KeyedBatch::Column& column) {
      for (const std::int64_t key : column.keys) {
        if (key != kMissingKey) own.keys.push_back(key);
      }
    });
    own.numbers.resize(own.keys.size());
    own.distinct.insert_all(own.keys, own.numbers.data());
    const auto distinct = static_cast<std::size_t>(own.distinct.size());
    own.order.resize(distinct);
    std::iota(own.order.begin(), own.order.end(), 0);
    std::sort(own.order.begin(), own.order.end(), [&own](std::int32_t left, std::int32_t right) { return own.distinct.value(left) < own.distinct.value(right); });
    own.by_number.assign(distinct, 0);
    std::size_t next = 0;
    for_each_column(t, slices, [&own, &next](const KeyedBatch::Column& column) {
      for (const std::int64_t key : column.keys) {
        if (key != kMissingKey) own.by_number[static_cast<std::size_t>(own.numbers[next++])] += column.counted ? 1 : 0;
      }
    });
    own.seen.keys.resize(distinct);
    own.seen.counts.resize(distinct);
    for (std::size_t i = 0; i < distinct; ++i) {
      own.seen.keys[i] = own.distinct.value(own.order[i]);
      own.seen.counts[i] = own.by_number[static_cast<std::size_t>(own.order[i])];
    }
    own.rows.resize(distinct);
  }
}

void DynamicFeatures::assign(std::int64_t step, KeyedStep& keyed) {
  if (exchange_ != nullptr) {
    std::vector<const KeyCounts*> parts;
    for (const KeyedStep::Table& own : keyed.tables) parts.push_back(&own.seen);
    exchange_->add_up(step, parts, wholes_);
  }
  for (std::size_t t = 0; t < tables_.size(); ++t) {
    KeyedStep::Table& own = keyed.tables[t];
    Table& table = tables_[t];
    if (table.map == nullptr) fail<Error>("table \"{}\" gives rows to keys, but no training has begun", table.state.table());
    if (exchange_ == nullptr) {
      table.map->assign(step, own.seen.keys, own.seen.counts, own.rows, own.changes);
      continue;
    }
    const KeyCounts& whole = wholes_[t];
    table.whole_rows.resize(whole.keys.size());
    table.map->assign(step, whole.keys, whole.counts, table.whole_rows, own.changes);
    // Both are in ascending order, and all that is here is in the whole.
    std::size_t at = 0;
    for (std::size_t i = 0; i < own.seen.keys.size(); ++i) {
      while (whole.keys[at] < own.seen.keys[i]) ++at;
      own.rows[i] = table.whole_rows[at];
    }
  }
}

void DynamicFeatures::place(KeyedStep& keyed, std::span<KeyedBatch* const> slices) const {
  for (std::size_t t = 0; t < tables_.size(); ++t) {
    KeyedStep::Table& own = keyed.tables[t];
    for (std::size_t i = 0; i < own.order.size(); ++i) own.by_number[static_cast<std::size_t>(own.order[i])] = own.rows[i];
    std::size_t next = 0;
    for_each_column(t, slices, [&](KeyedBatch::Column& column) {
      column.ids.resize(column.keys.size());
      for (std::size_t i = 0; i < column.keys.size(); ++i) {
        column.ids[i] = column.keys[i] == kMissingKey ? Vocabulary::kMissingRow : own.by_number[static_cast<std::size_t>(own.numbers[next++])];
      }
    });
  }
}

void DynamicFeatures::apply(const KeyedStep& keyed, EmbeddingTables& tables) {
  std::vector<std::int32_t> rows;
  std::vector<std::int64_t> keys;
  for (std::size_t t = 0; t < tables_.size(); ++t) {
    const RowChanges& changes = keyed.tables[t].changes;
    rows.clear();
    keys.clear();
    for (const RowChanges::Admission& admission : changes.admitted) {
      rows.push_back(admission.row);
      keys.push_back(admission.key);
    }
    for (const std::size_t model_table : tables_[t].model_tables) tables.start_rows(model_table, rows, keys);
    tables_[t].state.apply(changes);
  }
}

void DynamicFeatures::restore(const std::string& table, const KeyArrays& rows, const KeyArrays& pending, const KeyedRows::Counters& counters) {
  for (Table& each : tables_) {
    if (each.state.table() == table) return each.state.restore(rows, pending, counters);
  }
  fail<Error>("no dynamic table \"{}\"", table);
}

std::uint64_t DynamicFeatures::bytes_per_key(const TableEncoding& encoding) {
  // Entry and its places in an index that is half full at most, twice, and links of the order.
  constexpr std::uint64_t kLinks = 16;
  constexpr std::uint64_t kKey = 2 * (sizeof(KeyEntry) + 4 * sizeof(std::int32_t)) + kLinks;
  const bool by_age_as_well = encoding.evict == EvictionRule::kFrequency && encoding.max_age_steps > 0;
  return kKey * (encoding.min_count > 1 ? 2 : 1) + (by_age_as_well ? kLinks : 0);
}

std::uint64_t DynamicFeatures::most_memory_bytes() const {
  std::uint64_t bytes = 0;
  for (const Table& table : tables_) bytes += static_cast<std::uint64_t>(table.state.max_keys()) * table.bytes_per_key;
  return bytes;
}

}  // namespace rechost
