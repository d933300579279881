#include "data/catalogue.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"

namespace rechost {
namespace {

constexpr std::int64_t kScanRows = 16384;

/// Reads a split from front to back: body(batch) with up to kScanRows samples.
template <typename Body>
void scan(const Dataset& split, Body&& body) {
  Batch batch;
  for (std::int64_t first = 0; first < split.samples(); first += kScanRows) {
    split.gather_range(first, std::min(kScanRows, split.samples() - first), batch);
    body(batch);
  }
}

}  // namespace

Catalogue::Catalogue(const std::string& entity, std::span<const Dataset* const> splits) : entity_(entity) {
  if (splits.empty()) fail<DataError>("a catalogue needs at least one split");
  vocabularies_ = splits.front()->shared_vocabularies();
  find_columns(splits.front()->schema());
  dynamic_ = vocabularies_->at(key_table_).dynamic();
  if (dynamic_) {
    collect_keys(splits);
  } else {
    collect_rows(splits);
  }
  collect_values(splits);
}

void Catalogue::find_columns(const BatchSchema& full) {
  for (std::size_t i = 0; i < full.dense.size(); ++i) {
    if (full.dense[i].entity != entity_) continue;
    dense_columns_.push_back(i);
    schema_.dense.push_back(full.dense[i]);
  }
  bool found = false;
  for (std::size_t i = 0; i < full.sparse.size(); ++i) {
    const FeatureInfo& feature = full.sparse[i];
    if (feature.entity != entity_) continue;
    sparse_columns_.push_back(i);
    schema_.sparse.push_back(feature);
    if (!feature.is_key) continue;
    if (found) fail<ConfigError>("features \"{}\" and \"{}\" are both the key of \"{}\"", full.sparse[key_column_].name, feature.name, entity_);
    if (feature.is_list) fail<ConfigError>("feature \"{}\" is a list and cannot be the key of \"{}\"", feature.name, entity_);
    found = true;
    key_column_ = i;
    key_table_ = feature.table;
  }
  if (!found) {
    fail<ConfigError>("no sparse feature is the key of \"{}\"; the loader marks it (\"rechost.key\"), and it must not be ignored",
                      entity_);
  }
}

void Catalogue::add_entry(std::int64_t key, std::int64_t count, double samples) {
  keys_.push_back(key);
  counts_.push_back(count);
  log_probabilities_.push_back(static_cast<float>(std::log(static_cast<double>(std::max<std::int64_t>(count, 1)) / samples)));
}

void Catalogue::collect_keys(std::span<const Dataset* const> splits) {
  std::vector<std::int64_t> counts;  // by number
  std::vector<std::int64_t> keys;
  std::vector<std::int32_t> numbers;
  for (std::size_t split = 0; split < splits.size(); ++split) {
    scan(*splits[split], [&](const Batch& batch) {
      keys.clear();
      for (std::size_t row = 0; row < static_cast<std::size_t>(batch.rows); ++row) {
        const std::int64_t key = key_in(batch.sparse[key_column_], row);
        if (key != kMissingKey) keys.push_back(key);
      }
      numbers.resize(keys.size());
      key_index_.insert_all(keys, numbers.data());
      counts.resize(static_cast<std::size_t>(key_index_.size()), 0);
      for (const std::int32_t number : numbers) counts[static_cast<std::size_t>(number)] += split == 0 ? 1 : 0;
    });
  }
  std::vector<std::int32_t> order(counts.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [this](std::int32_t left, std::int32_t right) { return key_index_.value(left) < key_index_.value(right); });
  const auto samples = static_cast<double>(std::max<std::int64_t>(splits.front()->samples(), 1));
  entry_of_row_.resize(order.size());
  for (const std::int32_t number : order) {
    entry_of_row_[static_cast<std::size_t>(number)] = static_cast<std::int32_t>(keys_.size());
    add_entry(key_index_.value(number), counts[static_cast<std::size_t>(number)], samples);
  }
}

void Catalogue::collect_rows(std::span<const Dataset* const> splits) {
  const Vocabulary& vocabulary = vocabularies_->at(key_table_);
  std::vector<std::int64_t> count_of_row(static_cast<std::size_t>(vocabulary.rows()), 0);
  std::vector<bool> there(static_cast<std::size_t>(vocabulary.rows()), false);
  for (std::size_t split = 0; split < splits.size(); ++split) {
    scan(*splits[split], [&](const Batch& batch) {
      for (const std::int32_t row : batch.sparse[key_column_].ids) {
        there[static_cast<std::size_t>(row)] = true;
        if (split == 0) ++count_of_row[static_cast<std::size_t>(row)];
      }
    });
  }
  entry_of_row_.assign(there.size(), -1);
  const auto samples = static_cast<double>(std::max<std::int64_t>(splits.front()->samples(), 1));
  for (std::size_t row = 0; row < there.size(); ++row) {
    if (!there[row] || !vocabulary.is_value_row(static_cast<std::int32_t>(row))) continue;
    entry_of_row_[row] = static_cast<std::int32_t>(keys_.size());
    add_entry(static_cast<std::int64_t>(row), count_of_row[row], samples);
  }
}

void Catalogue::collect_values(std::span<const Dataset* const> splits) {
  const std::size_t entries = keys_.size();
  dense_.resize(entries * dense_columns_.size());
  single_.resize(sparse_columns_.size());
  lists_.resize(sparse_columns_.size());
  struct ListOfEntry {
    std::vector<std::int32_t> ids;
    std::vector<float> weights;
  };
  std::vector<std::vector<ListOfEntry>> list_values(sparse_columns_.size());
  for (std::size_t column = 0; column < sparse_columns_.size(); ++column) {
    if (schema_.sparse[column].in_lists()) {
      list_values[column].resize(entries);
    } else {
      single_[column].resize(entries);
    }
  }

  std::vector<std::int64_t> last(entries);  // position in the batch of the last sample of each entry: only that one is copied
  std::vector<std::int32_t> touched;
  const auto take = [&](const Batch& batch) {
    touched.clear();
    for (std::size_t i = static_cast<std::size_t>(batch.rows); i-- > 0;) {
      const std::int32_t entry = entry_of(batch.sparse[key_column_], i);
      if (entry < 0 || last[static_cast<std::size_t>(entry)] != 0) continue;
      last[static_cast<std::size_t>(entry)] = static_cast<std::int64_t>(i) + 1;
      touched.push_back(entry);
    }
    for (const std::int32_t entry : touched) {
      const auto e = static_cast<std::size_t>(entry);
      const auto i = static_cast<std::size_t>(last[e] - 1);
      last[e] = 0;
      const std::size_t full_dense = batch.dense.size() / static_cast<std::size_t>(batch.rows);
      for (std::size_t column = 0; column < dense_columns_.size(); ++column) {
        dense_[e * dense_columns_.size() + column] = batch.dense[i * full_dense + dense_columns_[column]];
      }
      for (std::size_t column = 0; column < sparse_columns_.size(); ++column) {
        const IdColumn& from = batch.sparse[sparse_columns_[column]];
        if (schema_.sparse[column].in_lists()) {
          list_values[column][e].ids.assign(from.ids.begin() + from.offsets[i], from.ids.begin() + from.offsets[i + 1]);
          if (from.weights.empty()) continue;
          list_values[column][e].weights.assign(from.weights.begin() + from.offsets[i], from.weights.begin() + from.offsets[i + 1]);
        } else {
          single_[column][e] = from.ids[i];
        }
      }
    }
  };
  for (const Dataset* const split : splits) scan(*split, take);

  for (std::size_t column = 0; column < sparse_columns_.size(); ++column) {
    if (!schema_.sparse[column].in_lists()) continue;
    IdColumn& list = lists_[column];
    list.offsets.assign(1, 0);
    for (const ListOfEntry& of_entry : list_values[column]) {
      list.ids.insert(list.ids.end(), of_entry.ids.begin(), of_entry.ids.end());
      list.weights.insert(list.weights.end(), of_entry.weights.begin(), of_entry.weights.end());
      list.offsets.push_back(static_cast<std::int64_t>(list.ids.size()));
    }
  }
}

std::int32_t Catalogue::entry_of(std::int64_t key) const {
  const std::int64_t row = dynamic_ ? key_index_.find(key) : key;
  if (row < 0 || static_cast<std::size_t>(row) >= entry_of_row_.size()) return -1;
  return entry_of_row_[static_cast<std::size_t>(row)];
}

std::string Catalogue::key_text(std::int64_t entry) const {
  const Vocabulary& vocabulary = vocabularies_->at(key_table_);
  return dynamic_ ? vocabulary.key_text(key(entry)) : vocabulary.value_text(static_cast<std::int32_t>(key(entry)));
}

void Catalogue::fill(std::int64_t first, std::int64_t count, Batch& batch) const {
  static thread_local std::vector<std::int32_t> entries;
  entries.resize(static_cast<std::size_t>(count));
  std::iota(entries.begin(), entries.end(), static_cast<std::int32_t>(first));
  fill(entries, batch);
}

void Catalogue::fill(std::span<const std::int32_t> entries, Batch& batch) const {
  for (const std::int32_t entry : entries) {
    if (entry < 0 || entry >= size()) fail<DataError>("the catalogue of \"{}\" has no entry {} (it has {})", entity_, entry, size());
  }
  const std::size_t rows = entries.size();
  batch.step = 0;
  batch.epoch = 0;
  batch.rows = batch.global_rows = static_cast<std::int64_t>(rows);
  batch.samples.assign(entries.begin(), entries.end());
  batch.labels.clear();
  batch.weights.clear();
  const std::size_t dense = dense_columns_.size();
  batch.dense.resize(rows * dense);
  for (std::size_t i = 0; i < rows; ++i) {
    std::copy_n(dense_.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(entries[i]) * dense), dense,
                batch.dense.begin() + static_cast<std::ptrdiff_t>(i * dense));
  }
  batch.sparse.resize(sparse_columns_.size());
  for (std::size_t column = 0; column < sparse_columns_.size(); ++column) {
    IdColumn& to = batch.sparse[column];
    to.ids.clear();
    to.offsets.clear();
    to.weights.clear();
    if (!schema_.sparse[column].in_lists()) {
      for (const std::int32_t entry : entries) to.ids.push_back(single_[column][static_cast<std::size_t>(entry)]);
      continue;
    }
    const IdColumn& list = lists_[column];
    to.offsets.push_back(0);
    for (const std::int32_t entry : entries) {
      const auto e = static_cast<std::size_t>(entry);
      to.ids.insert(to.ids.end(), list.ids.begin() + list.offsets[e], list.ids.begin() + list.offsets[e + 1]);
      if (!list.weights.empty()) to.weights.insert(to.weights.end(), list.weights.begin() + list.offsets[e], list.weights.begin() + list.offsets[e + 1]);
      to.offsets.push_back(static_cast<std::int64_t>(to.ids.size()));
    }
  }
}

UserItems collect_user_items(const Dataset& split, const Catalogue& users, const Catalogue& items, std::optional<float> threshold) {
  struct Pair {
    std::int32_t user;
    std::int32_t item;
    auto operator<=>(const Pair&) const = default;
  };
  std::vector<Pair> pairs;
  UserItems result;
  result.unreachable.assign(static_cast<std::size_t>(users.size()), 0);
  const std::size_t labels = split.schema().labels.size();
  scan(split, [&](const Batch& batch) {
    for (std::size_t i = 0; i < static_cast<std::size_t>(batch.rows); ++i) {
      // NaN (no label) is not below the threshold either: without labels every sample counts.
      if (threshold && labels > 0 && batch.labels[i * labels] < *threshold) continue;
      const std::int32_t user = users.entry_of(batch.sparse[users.key_column()], i);
      const std::int32_t item = items.entry_of(batch.sparse[items.key_column()], i);
      if (user < 0) continue;
      if (item < 0) {
        ++result.unreachable[static_cast<std::size_t>(user)];
      } else {
        pairs.push_back({user, item});
      }
    }
  });
  std::sort(pairs.begin(), pairs.end());
  pairs.erase(std::unique(pairs.begin(), pairs.end()), pairs.end());
  result.offsets.assign(static_cast<std::size_t>(users.size()) + 1, 0);
  result.items.reserve(pairs.size());
  for (const Pair& pair : pairs) {
    ++result.offsets[static_cast<std::size_t>(pair.user) + 1];
    result.items.push_back(pair.item);
  }
  std::partial_sum(result.offsets.begin(), result.offsets.end(), result.offsets.begin());
  return result;
}

}  // namespace rechost
