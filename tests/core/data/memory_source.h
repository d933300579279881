#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "data/source.h"

namespace rechost {

/// A split typed into a test: columns as vectors, cut into chunks.
class MemorySource : public ChunkSource {
 public:
  template <typename T>
  using Values = std::vector<std::optional<T>>;

  explicit MemorySource(std::int64_t rows_per_chunk = 4) : rows_per_chunk_(rows_per_chunk) {}

  MemorySource& dense(const std::string& name, Values<float> values) {
    return add({.name = name, .role = ColumnRole::kDense, .type = ValueType::kFloat32, .nullable = true}, {.floats = std::move(values)});
  }
  MemorySource& ids(const std::string& name, Values<std::int64_t> values, std::optional<std::int64_t> cardinality = {}) {
    ColumnInfo info{.name = name, .role = ColumnRole::kSparse, .type = ValueType::kInt64, .cardinality = cardinality};
    info.nullable = std::find(values.begin(), values.end(), std::nullopt) != values.end();
    return add(info, {.integers = std::move(values)});
  }
  MemorySource& words(const std::string& name, Values<std::string> values) {
    return add({.name = name, .role = ColumnRole::kSparse, .type = ValueType::kString, .nullable = true}, {.strings = std::move(values)});
  }
  MemorySource& lists(const std::string& name, std::vector<std::vector<std::int64_t>> values) {
    return add({.name = name, .role = ColumnRole::kSparse, .type = ValueType::kInt64, .is_list = true}, {.lists = std::move(values)});
  }
  MemorySource& number_lists(const std::string& name, std::vector<std::vector<float>> values) {
    return add({.name = name, .role = ColumnRole::kDense, .type = ValueType::kFloat32, .is_list = true}, {.float_lists = std::move(values)});
  }
  MemorySource& label(const std::string& name, Values<float> values, LabelKind kind = LabelKind::kBinary) {
    return add({.name = name, .role = ColumnRole::kLabel, .type = ValueType::kFloat32, .nullable = true, .label_kind = kind},
               {.floats = std::move(values)});
  }
  MemorySource& weight(const std::string& name, Values<float> values) {
    return add({.name = name, .role = ColumnRole::kWeight, .type = ValueType::kFloat32, .nullable = true}, {.floats = std::move(values)});
  }
  /// What the last column is to its entity.
  MemorySource& of(const std::string& entity, bool is_key = false) {
    infos_.back().entity = entity;
    infos_.back().is_key = is_key;
    return *this;
  }
  MemorySource& as(ColumnRole role) {
    infos_.back().role = role;
    return *this;
  }
  /// The loader refuses this declared row.
  MemorySource& refuse(std::int64_t row, const std::string& column, const std::string& reason, const std::string& raw = "") {
    BadRow bad;
    bad.chunk = row / rows_per_chunk_;
    bad.row_in_chunk = row % rows_per_chunk_;
    bad.line = row + 1;
    bad.source = "memory.tsv";
    bad.column = column;
    bad.reason = reason;
    bad.raw = raw;
    bad_[row] = std::move(bad);
    return *this;
  }

  const std::vector<ColumnInfo>& columns() const override { return infos_; }
  std::int64_t chunk_count() const override { return (rows_ + rows_per_chunk_ - 1) / rows_per_chunk_; }
  std::int64_t chunk_rows(std::int64_t chunk) const override { return std::min(rows_per_chunk_, rows_ - chunk * rows_per_chunk_); }
  std::uint64_t fingerprint() override { return static_cast<std::uint64_t>(rows_); }
  std::optional<double> best_auc() const override { return std::nullopt; }
  std::unique_ptr<ChunkData> read(std::int64_t chunk, std::span<const std::uint32_t> wanted,
                                  const std::function<void(BadRow&&)>& bad_row) override;

  void read_ahead(std::span<const std::int64_t> chunks) override {
    const std::lock_guard lock(mutex_);
    told_.emplace_back(chunks.begin(), chunks.end());
    announced_.insert(chunks.begin(), chunks.end());
  }
  bool remote() const override { return remote_; }
  void show_rows(std::int64_t chunk, std::span<const std::int64_t> rows, const std::function<void(BadRow&&)>& show) override {
    for (const std::int64_t row : rows) {
      const std::int64_t line = chunk * rows_per_chunk_ + row + 1;
      show({.chunk = chunk, .row_in_chunk = row, .line = line, .source = "memory.tsv", .raw = "row " + std::to_string(line), .raw_bytes = 10});
    }
  }

  /// It comes from afar: remembers what it is told of chunks to come.
  MemorySource& from_afar() {
    remote_ = true;
    return *this;
  }
  /// Integers and strings come as entries of a dictionary, one for each column and chunk.
  MemorySource& by_dictionary() {
    by_dictionary_ = true;
    return *this;
  }
  /// Every list that it was told.
  const std::vector<std::vector<std::int64_t>>& told() const { return told_; }
  /// Chunks that were read, and had not been announced before.
  const std::vector<std::int64_t>& surprises() const { return surprises_; }
  void forget_told() {
    told_.clear();
    announced_.clear();
    surprises_.clear();
  }

  std::int64_t reads() const { return reads_; }
  /// From now on the chunk cannot be read.
  void break_chunk(std::int64_t chunk) { broken_chunk_ = chunk; }

 private:
  struct Column {
    Values<float> floats;
    Values<std::int64_t> integers;
    Values<std::string> strings;
    std::vector<std::vector<std::int64_t>> lists;
    std::vector<std::vector<float>> float_lists;
  };
  class Data;

  MemorySource& add(const ColumnInfo& info, Column column) {
    infos_.push_back(info);
    rows_ = static_cast<std::int64_t>(
        std::max({column.floats.size(), column.integers.size(), column.strings.size(), column.lists.size(), column.float_lists.size()}));
    columns_.push_back(std::move(column));
    return *this;
  }

  std::int64_t rows_per_chunk_;
  std::int64_t rows_ = 0;
  std::vector<ColumnInfo> infos_;
  std::vector<Column> columns_;
  std::map<std::int64_t, BadRow> bad_;
  std::atomic<std::int64_t> reads_{0};
  std::int64_t broken_chunk_ = -1;
  bool remote_ = false;
  bool by_dictionary_ = false;
  std::mutex mutex_;  // of all that follows
  std::vector<std::vector<std::int64_t>> told_;
  std::set<std::int64_t> announced_;
  std::vector<std::int64_t> surprises_;
};

class MemorySource::Data : public ChunkData {
 public:
  std::span<const ColumnView> columns() const override { return views_; }
  std::int64_t rows() const override { return rows_; }

  void add(const ColumnInfo& info, const Column& column, const std::vector<std::int64_t>& rows) {
    rows_ = static_cast<std::int64_t>(rows.size());
    memory_.push_back(std::make_unique<Memory>());
    Memory& memory = *memory_.back();
    memory.validity.assign(rows.size() / 8 + 1, 0);
    memory.offsets.push_back(0);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const auto row = static_cast<std::size_t>(rows[i]);
      bool valid = true;
      if (info.is_list && info.type == ValueType::kFloat32) {
        memory.floats.insert(memory.floats.end(), column.float_lists[row].begin(), column.float_lists[row].end());
        memory.offsets.push_back(static_cast<std::int32_t>(memory.floats.size()));
      } else if (info.is_list) {
        memory.integers.insert(memory.integers.end(), column.lists[row].begin(), column.lists[row].end());
        memory.offsets.push_back(static_cast<std::int32_t>(memory.integers.size()));
      } else if (info.type == ValueType::kString) {
        valid = column.strings[row].has_value();
        memory.characters += column.strings[row].value_or("");
        memory.offsets.push_back(static_cast<std::int32_t>(memory.characters.size()));
      } else if (info.type == ValueType::kInt64) {
        valid = column.integers[row].has_value();
        memory.integers.push_back(column.integers[row].value_or(-77));
      } else {
        valid = column.floats[row].has_value();
        memory.floats.push_back(column.floats[row].value_or(-77.0F));
      }
      if (valid) memory.validity[i / 8] = static_cast<std::uint8_t>(memory.validity[i / 8] | 1U << i % 8);
    }
    ColumnView view;
    view.type = info.type;
    view.rows = rows_;
    if (info.nullable) view.validity = memory.validity.data();
    if (info.is_list) view.list_offsets32 = memory.offsets.data();
    view.characters = memory.characters.data();
    if (info.type == ValueType::kString) view.string_offsets32 = memory.offsets.data();
    view.values = info.type == ValueType::kInt64 ? static_cast<const void*>(memory.integers.data()) : memory.floats.data();
    views_.push_back(view);
  }

  /// The last column's values become entries, the last seen first, behind one that no row has.
  void make_dictionary() {
    ColumnView& view = views_.back();
    Memory& memory = *memory_.back();
    if (view.type == ValueType::kInt64) {
      std::vector<std::int64_t> entries{-987654321};
      for (auto value = memory.integers.rbegin(); value != memory.integers.rend(); ++value) {
        if (std::find(entries.begin(), entries.end(), *value) == entries.end()) entries.push_back(*value);
      }
      for (const std::int64_t value : memory.integers) {
        memory.indices.push_back(static_cast<std::int32_t>(std::find(entries.begin(), entries.end(), value) - entries.begin()));
      }
      memory.integers = std::move(entries);
      view.values = memory.integers.data();
      view.entries = static_cast<std::int64_t>(memory.integers.size());
    } else if (view.type == ValueType::kString) {
      std::vector<std::string> entries{"nobody has this"};
      const std::int64_t values = static_cast<std::int64_t>(memory.offsets.size()) - 1;
      for (std::int64_t i = values; i > 0; --i) {
        const std::string value(view.string(i - 1));
        if (std::find(entries.begin(), entries.end(), value) == entries.end()) entries.push_back(value);
      }
      for (std::int64_t i = 0; i < values; ++i) {
        memory.indices.push_back(static_cast<std::int32_t>(std::find(entries.begin(), entries.end(), view.string(i)) - entries.begin()));
      }
      memory.characters.clear();
      memory.offsets.assign(1, 0);
      for (const std::string& entry : entries) {
        memory.characters += entry;
        memory.offsets.push_back(static_cast<std::int32_t>(memory.characters.size()));
      }
      view.characters = memory.characters.data();
      view.string_offsets32 = memory.offsets.data();
      view.entries = static_cast<std::int64_t>(entries.size());
    } else {
      return;
    }
    view.indices = memory.indices.data();
  }

  void set_rows(std::int64_t rows) { rows_ = rows; }

 private:
  struct Memory {
    std::vector<std::uint8_t> validity;
    std::vector<float> floats;
    std::vector<std::int64_t> integers;
    std::string characters;
    std::vector<std::int32_t> offsets;
    std::vector<std::int32_t> indices;
  };
  std::vector<std::unique_ptr<Memory>> memory_;
  std::vector<ColumnView> views_;
  std::int64_t rows_ = 0;
};

inline std::unique_ptr<ChunkData> MemorySource::read(std::int64_t chunk, std::span<const std::uint32_t> wanted,
                                                     const std::function<void(BadRow&&)>& bad_row) {
  ++reads_;
  {
    const std::lock_guard lock(mutex_);
    if (!announced_.contains(chunk)) surprises_.push_back(chunk);
  }
  if (chunk == broken_chunk_) fail<DataError>("chunk {} is torn", chunk);
  std::vector<std::int64_t> rows;
  for (std::int64_t row = chunk * rows_per_chunk_; row < chunk * rows_per_chunk_ + chunk_rows(chunk); ++row) {
    const auto bad = bad_.find(row);
    if (bad == bad_.end()) {
      rows.push_back(row);
    } else {
      bad_row(BadRow(bad->second));
    }
  }
  auto data = std::make_unique<Data>();
  data->set_rows(static_cast<std::int64_t>(rows.size()));
  for (const std::uint32_t position : wanted) {
    data->add(infos_[position], columns_[position], rows);
    if (by_dictionary_) data->make_dictionary();
  }
  return data;
}

}  // namespace rechost
