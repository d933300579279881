// One opened split of a loader, read through the C interface into plain text cells that tests can compare.
#ifndef RECHOST_TESTS_PLUGINS_DATASETS_OPENED_SPLIT_H
#define RECHOST_TESTS_PLUGINS_DATASETS_OPENED_SPLIT_H

#include <charconv>
#include <cstring>
#include <numeric>
#include <optional>
#include <utility>

#include "plugins/datasets/test_host.h"

namespace datasets_test {

struct BadRowRecord {
  int64_t row_in_chunk, line;
  std::string source, column, reason, raw;
  bool operator==(const BadRowRecord&) const = default;
};

// Columns as text; a missing value is "null", a list is "[1 2]".
struct Table {
  std::vector<std::string> names;
  std::vector<std::vector<std::string>> columns;
  std::vector<BadRowRecord> bad_rows;
  int64_t rows = 0;

  const std::vector<std::string>& operator[](std::string_view name) const {
    for (std::size_t i = 0; i < names.size(); ++i)
      if (names[i] == name) return columns[i];
    throw std::runtime_error("there is no column '" + std::string(name) + "'");
  }
  void append(const Table& other) {
    if (names.empty()) {
      names = other.names;
      columns.resize(names.size());
    }
    for (std::size_t i = 0; i < columns.size(); ++i) columns[i].insert(columns[i].end(), other.columns[i].begin(), other.columns[i].end());
    bad_rows.insert(bad_rows.end(), other.bad_rows.begin(), other.bad_rows.end());
    rows += other.rows;
  }
  bool operator==(const Table&) const = default;
};

// Owns an Arrow structure and releases it.
template <class Structure>
class Released {
 public:
  Released() = default;
  Released(const Released&) = delete;
  Released& operator=(const Released&) = delete;
  ~Released() {
    if (value.release != nullptr) value.release(&value);
  }
  Structure* operator->() { return &value; }
  const Structure* operator->() const { return &value; }
  Structure value{};
};

namespace detail {

template <class Number>
std::string number_at(const void* data, int64_t index) {
  Number number;
  std::memcpy(&number, static_cast<const char*>(data) + static_cast<std::size_t>(index) * sizeof(Number), sizeof(Number));
  char text[64];
  return std::string(text, std::to_chars(text, text + sizeof text, number).ptr);
}

template <class Offset>
std::pair<int64_t, int64_t> range_at(const void* offsets, int64_t index) {
  return {static_cast<const Offset*>(offsets)[index], static_cast<const Offset*>(offsets)[index + 1]};
}

inline std::string cell(const ArrowSchema& schema, const ArrowArray& array, int64_t row) {
  const int64_t index = row + array.offset;
  if (array.null_count != 0 && array.buffers[0] != nullptr)
    if ((static_cast<const unsigned char*>(array.buffers[0])[index / 8] >> (index % 8) & 1) == 0) return "null";
  const void* data = array.buffers[1];
  const std::string_view format = schema.format;
  if (schema.dictionary != nullptr) return cell(*schema.dictionary, *array.dictionary, static_cast<const int32_t*>(data)[index]);
  if (format == "+l") {
    const auto [first, last] = range_at<int32_t>(data, index);
    std::string text = "[";
    for (int64_t i = first; i < last; ++i) text += (i > first ? " " : "") + cell(*schema.children[0], *array.children[0], i);
    return text + "]";
  }
  switch (format[0]) {
    case 'f':
      return number_at<float>(data, index);
    case 'g':
      return number_at<double>(data, index);
    case 'c':
      return number_at<int8_t>(data, index);
    case 's':
      return number_at<int16_t>(data, index);
    case 'i':
      return number_at<int32_t>(data, index);
    case 'l':
      return number_at<int64_t>(data, index);
    case 'C':
      return number_at<uint8_t>(data, index);
    case 'S':
      return number_at<uint16_t>(data, index);
    case 'I':
      return number_at<uint32_t>(data, index);
    case 'b':
      return (static_cast<const unsigned char*>(data)[index / 8] >> (index % 8) & 1) != 0 ? "true" : "false";
    case 'u':
    case 'z':
    case 'U': {
      const auto [first, last] = format == "U" ? range_at<int64_t>(data, index) : range_at<int32_t>(data, index);
      return std::string(static_cast<const char*>(array.buffers[2]) + first, static_cast<std::size_t>(last - first));
    }
    default:
      throw std::runtime_error("format '" + std::string(format) + "' in an array");
  }
}

}  // namespace detail

// Keys and values of Arrow's metadata encoding.
inline std::map<std::string, std::string> metadata_of(const char* bytes) {
  std::map<std::string, std::string> result;
  if (bytes == nullptr) return result;
  const auto take_count = [&bytes] {
    int32_t count;
    std::memcpy(&count, bytes, sizeof count);
    bytes += sizeof count;
    return static_cast<std::size_t>(count);
  };
  const auto take_text = [&] {
    const std::size_t size = take_count();
    bytes += size;
    return std::string(bytes - size, size);
  };
  for (std::size_t pairs = take_count(); pairs > 0; --pairs) {
    std::string key = take_text();
    result[std::move(key)] = take_text();
  }
  return result;
}

class OpenedSplit {
 public:
  OpenedSplit(const Loader& loader, const Options& options, const std::string& split) : functions_(loader.functions) {
    const ModuleConfig config(*loader.module, options);
    throw_if(functions_->open(test_host(), config.table(), {split.data(), split.size()}, &dataset_));
    try {
      throw_if(functions_->schema(dataset_, &schema.value));
    } catch (...) {
      functions_->close(dataset_);
      throw;
    }
  }
  OpenedSplit(const OpenedSplit&) = delete;
  OpenedSplit& operator=(const OpenedSplit&) = delete;
  ~OpenedSplit() { functions_->close(dataset_); }

  int64_t chunk_count() const { return functions_->chunk_count(dataset_); }
  int64_t chunk_rows(int64_t chunk) const { return functions_->chunk_rows(dataset_, chunk); }
  int64_t declared_rows() const {
    int64_t rows = 0;
    for (int64_t chunk = 0; chunk < chunk_count(); ++chunk) rows += chunk_rows(chunk);
    return rows;
  }
  uint64_t fingerprint() const {
    uint64_t value = 0;
    throw_if(functions_->fingerprint(dataset_, &value));
    return value;
  }
  std::vector<uint32_t> all_columns() const {
    std::vector<uint32_t> columns(static_cast<std::size_t>(schema.value.n_children));
    std::iota(columns.begin(), columns.end(), 0u);
    return columns;
  }
  std::map<std::string, std::string> column_metadata(std::string_view name) const {
    for (int64_t i = 0; i < schema.value.n_children; ++i)
      if (name == schema.value.children[i]->name) return metadata_of(schema.value.children[i]->metadata);
    throw std::runtime_error("there is no column '" + std::string(name) + "'");
  }

  // `array` is filled. Bad rows are collected; after `bad_rows_allowed` of them the host answers with an error.
  void read_raw(int64_t chunk, const std::vector<uint32_t>& columns, ArrowArray* array, std::vector<BadRowRecord>& bad_rows,
                std::size_t bad_rows_allowed = SIZE_MAX) const {
    struct Context {
      std::vector<BadRowRecord>& rows;
      std::size_t allowed;
    } context{bad_rows, bad_rows_allowed};
    rh_read_request request{};
    request.struct_size = sizeof request;
    request.column_count = static_cast<uint32_t>(columns.size());
    request.chunk = chunk;
    request.columns = columns.data();
    request.context = &context;
    request.bad_row = [](void* opaque, const rh_bad_row* row) -> rh_error* {
      Context& into = *static_cast<Context*>(opaque);
      if (into.rows.size() >= into.allowed) return new rh_error{RH_ERROR_DATA, "enough bad rows"};
      into.rows.push_back(
          {row->row_in_chunk, row->line, text_of(row->source), text_of(row->column), text_of(row->reason), text_of(row->raw)});
      return nullptr;
    };
    throw_if(functions_->read_chunk(dataset_, &request, array));
  }

  Table read(int64_t chunk, const std::vector<uint32_t>& columns) const {
    Table table;
    Released<ArrowArray> array;
    read_raw(chunk, columns, &array.value, table.bad_rows);
    table.rows = array->length;
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const ArrowSchema& column = *schema.value.children[columns[i]];
      table.names.push_back(column.name);
      auto& cells = table.columns.emplace_back();
      for (int64_t row = 0; row < array->length; ++row) cells.push_back(detail::cell(column, *array->children[i], row));
    }
    return table;
  }
  Table read_all() const {
    Table table;
    for (int64_t chunk = 0; chunk < chunk_count(); ++chunk) table.append(read(chunk, all_columns()));
    return table;
  }

 private:
  const rh_dataset_interface* functions_;
  rh_dataset* dataset_ = nullptr;

 public:
  Released<ArrowSchema> schema;
};

inline Table read_split(const std::string& loader, const Options& options, const std::string& split) {
  return OpenedSplit(Loader(loader), options, split).read_all();
}

}  // namespace datasets_test

#endif  // RECHOST_TESTS_PLUGINS_DATASETS_OPENED_SPLIT_H
