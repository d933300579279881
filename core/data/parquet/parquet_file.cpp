// The module rechost_parquet: writes Parquet files with Arrow's library.
#include "data/parquet_file.h"

#include <algorithm>
#include <exception>
#include <string_view>
#include <type_traits>
#include <vector>

#include <arrow/io/memory.h>
#include <parquet/column_writer.h>
#include <parquet/file_writer.h>

#include "base/error.h"
#include "data/column_values.h"

namespace rechost {
namespace {

using parquet::LogicalType;
using parquet::Repetition;
using parquet::Type;
using parquet::schema::GroupNode;
using parquet::schema::NodePtr;
using parquet::schema::NodeVector;
using parquet::schema::PrimitiveNode;

constexpr std::int64_t kBatchRows = 4096;  // handed to Arrow at once

NodePtr value_node(const std::string& name, Repetition::type repetition, const ColumnInfo& column) {
  const auto integer = [&](int bits, bool is_signed) { return PrimitiveNode::Make(name, repetition, LogicalType::Int(bits, is_signed), bits == 64 ? Type::INT64 : Type::INT32); };
  switch (column.type) {
    case ValueType::kBool: return PrimitiveNode::Make(name, repetition, Type::BOOLEAN);
    case ValueType::kInt8: return integer(8, true);
    case ValueType::kInt16: return integer(16, true);
    case ValueType::kInt32: return integer(32, true);
    case ValueType::kInt64: return integer(64, true);
    case ValueType::kUint8: return integer(8, false);
    case ValueType::kUint16: return integer(16, false);
    case ValueType::kUint32: return integer(32, false);
    case ValueType::kFloat32: return PrimitiveNode::Make(name, repetition, Type::FLOAT);
    case ValueType::kFloat64: return PrimitiveNode::Make(name, repetition, Type::DOUBLE);
    case ValueType::kString: break;
  }
  return PrimitiveNode::Make(name, repetition, column.is_binary ? LogicalType::None() : LogicalType::String(), Type::BYTE_ARRAY);
}

NodePtr column_node(const ColumnInfo& column) {
  const auto repetition = column.nullable ? Repetition::OPTIONAL : Repetition::REQUIRED;
  if (!column.is_list) return value_node(column.name, repetition, column);
  const NodePtr list = GroupNode::Make("list", Repetition::REPEATED, {value_node("element", Repetition::REQUIRED, column)});
  return GroupNode::Make(column.name, repetition, {list}, LogicalType::List());
}

std::shared_ptr<parquet::WriterProperties> properties_of(const ParquetCompression& compression) {
  using arrow::Compression;
  parquet::WriterProperties::Builder builder;
  builder.enable_page_checksum();
  const auto& codec = compression.codec;
  builder.compression(codec == "snappy" ? Compression::SNAPPY
                      : codec == "zstd" ? Compression::ZSTD
                      : codec == "gz"   ? Compression::GZIP
                      : codec == "br"   ? Compression::BROTLI
                      : codec == "lz4"  ? Compression::LZ4
                                        : Compression::UNCOMPRESSED);
  if (compression.level) builder.compression_level(*compression.level);
  return builder.build();
}

/// Writes one column of the row group, batch by batch.
template <typename Physical>
class ColumnOutput {
 public:
  ColumnOutput(parquet::ColumnWriter& writer, const ColumnInfo& column)
      : writer_(static_cast<parquet::TypedColumnWriter<Physical>&>(writer)), column_(column), list_level_(column.nullable ? 1 : 0) {}

  /// read(element) is a value.
  template <typename Read>
  void write(const ColumnView& view, std::int64_t begin, std::int64_t end, Read&& read) {
    for (std::int64_t first = begin; first < end; first += kBatchRows) {
      const std::int64_t last = std::min(end, first + kBatchRows);
      for (std::int64_t row = first; row < last; ++row) column_.is_list ? add_list(view, row, read) : add_single(view, row, read);
      flush(last - first);
    }
  }

 private:
  using Value = typename Physical::c_type;
  struct Slot {  // a vector of bool would not be values
    Value value;
  };
  static_assert(sizeof(Slot) == sizeof(Value));

  template <typename Read>
  void add_single(const ColumnView& view, std::int64_t row, Read&& read) {
    const bool valid = view.valid(row);
    if (column_.nullable) definitions_.push_back(valid ? 1 : 0);
    if (valid) values_.push_back({read(row)});
  }

  template <typename Read>
  void add_list(const ColumnView& view, std::int64_t row, Read&& read) {
    const bool valid = view.valid(row);
    const std::int64_t begin = view.list_begin(row), end = valid ? view.list_begin(row + 1) : begin;
    repetitions_.insert(repetitions_.end(), 1, 0);
    if (begin == end) return definitions_.push_back(valid ? list_level_ : static_cast<std::int16_t>(0));
    definitions_.insert(definitions_.end(), static_cast<std::size_t>(end - begin), static_cast<std::int16_t>(list_level_ + 1));
    repetitions_.insert(repetitions_.end(), static_cast<std::size_t>(end - begin) - 1, 1);
    for (std::int64_t element = begin; element < end; ++element) values_.push_back({read(element)});
  }

  void flush(std::int64_t rows) {
    const auto levels = definitions_.empty() ? rows : static_cast<std::int64_t>(definitions_.size());
    writer_.WriteBatch(levels, definitions_.empty() ? nullptr : definitions_.data(), repetitions_.empty() ? nullptr : repetitions_.data(),
                       values_.empty() ? nullptr : &values_.front().value);
    definitions_.clear();
    repetitions_.clear();
    values_.clear();
  }

  parquet::TypedColumnWriter<Physical>& writer_;
  const ColumnInfo& column_;
  const std::int16_t list_level_;  // at which a list is there and empty
  std::vector<std::int16_t> definitions_, repetitions_;
  std::vector<Slot> values_;
};

template <typename Physical>
void write_numbers(parquet::ColumnWriter& writer, const ColumnInfo& column, std::size_t position, std::span<const ChunkSlice> rows) {
  ColumnOutput<Physical> output(writer, column);
  for (const ChunkSlice& slice : rows) {
    const ColumnView& view = slice.chunk->columns()[position];
    with_numbers(view, [&](auto read) {
      output.write(view, slice.begin, slice.end, [&](std::int64_t element) { return static_cast<typename Physical::c_type>(read(element)); });
    });
  }
}

void write_texts(parquet::ColumnWriter& writer, const ColumnInfo& column, std::size_t position, std::span<const ChunkSlice> rows) {
  ColumnOutput<parquet::ByteArrayType> output(writer, column);
  for (const ChunkSlice& slice : rows) {
    const ColumnView& view = slice.chunk->columns()[position];
    output.write(view, slice.begin, slice.end, [&](std::int64_t element) { return parquet::ByteArray(view.string(element)); });
  }
}

void write_column(parquet::ColumnWriter& writer, const ColumnInfo& column, std::size_t position, std::span<const ChunkSlice> rows) {
  switch (column.type) {
    case ValueType::kBool: return write_numbers<parquet::BooleanType>(writer, column, position, rows);
    case ValueType::kInt64: return write_numbers<parquet::Int64Type>(writer, column, position, rows);
    case ValueType::kFloat32: return write_numbers<parquet::FloatType>(writer, column, position, rows);
    case ValueType::kFloat64: return write_numbers<parquet::DoubleType>(writer, column, position, rows);
    case ValueType::kString: return write_texts(writer, column, position, rows);
    default: return write_numbers<parquet::Int32Type>(writer, column, position, rows);
  }
}

void write_file(std::span<const ColumnInfo> columns, std::span<const ChunkSlice> rows, const ParquetCompression& compression, std::string& file) {
  NodeVector nodes;
  for (const ColumnInfo& column : columns) nodes.push_back(column_node(column));
  const auto schema = std::static_pointer_cast<GroupNode>(GroupNode::Make("schema", Repetition::REQUIRED, nodes));
  const auto sink = arrow::io::BufferOutputStream::Create().ValueOrDie();
  const auto writer = parquet::ParquetFileWriter::Open(sink, schema, properties_of(compression));
  parquet::RowGroupWriter& group = *writer->AppendRowGroup();
  for (std::size_t i = 0; i < columns.size(); ++i) write_column(*group.NextColumn(), columns[i], i, rows);
  group.Close();
  writer->Close();
  file = sink->Finish().ValueOrDie()->ToString();
}

}  // namespace
}  // namespace rechost

extern "C" __attribute__((visibility("default"))) void rechost_write_parquet(std::span<const rechost::ColumnInfo> columns, std::span<const rechost::ChunkSlice> rows,
                                                                             const rechost::ParquetCompression& compression, std::string& file) {
  try {
    rechost::write_file(columns, rows, compression, file);
  } catch (const parquet::ParquetException& error) {
    rechost::fail("Arrow's library cannot write a Parquet file: {}", error.what());
  }
}
