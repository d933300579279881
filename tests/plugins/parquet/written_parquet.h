// Parquet files written by Arrow's library, value by value, so that a test sees everything that a file says.
#ifndef RECHOST_TESTS_PLUGINS_PARQUET_WRITTEN_PARQUET_H
#define RECHOST_TESTS_PLUGINS_PARQUET_WRITTEN_PARQUET_H

#include <arrow/io/file.h>
#include <parquet/column_writer.h>
#include <parquet/file_writer.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace datasets_test {

// One column of a file: its place in the schema, and how rows [first, last) of it are written.
struct WrittenColumn {
  parquet::schema::NodePtr node;
  std::size_t rows = 0;
  std::function<void(parquet::ColumnWriter& writer, std::size_t first, std::size_t last)> write;
};

using Logical = std::shared_ptr<const parquet::LogicalType>;

inline parquet::schema::NodePtr leaf_node(const std::string& name, parquet::Repetition::type repetition, parquet::Type::type type, const Logical& logical,
                                          int length) {
  return parquet::schema::PrimitiveNode::Make(name, repetition, logical ? logical : parquet::LogicalType::None(), type, length);
}

// One value or none in each row. `length`: of FIXED_LEN_BYTE_ARRAY.
template <class PhysicalType>
WrittenColumn column(const std::string& name, std::vector<std::optional<typename PhysicalType::c_type>> values, const Logical& logical = nullptr,
                     int length = -1) {
  const auto node = leaf_node(name, parquet::Repetition::OPTIONAL, PhysicalType::type_num, logical, length);
  return {node, values.size(), [values](parquet::ColumnWriter& writer, std::size_t first, std::size_t last) {
            for (std::size_t row = first; row < last; ++row) {
              const std::int16_t level = values[row].has_value();
              const typename PhysicalType::c_type value = values[row].value_or(typename PhysicalType::c_type{});
              static_cast<parquet::TypedColumnWriter<PhysicalType>&>(writer).WriteBatch(1, &level, nullptr, &value);
            }
          }};
}

// The same without null, and without levels.
template <class PhysicalType>
WrittenColumn required(const std::string& name, std::vector<typename PhysicalType::c_type> values, const Logical& logical = nullptr) {
  const auto node = leaf_node(name, parquet::Repetition::REQUIRED, PhysicalType::type_num, logical, -1);
  return {node, values.size(), [values](parquet::ColumnWriter& writer, std::size_t first, std::size_t last) {
            for (std::size_t row = first; row < last; ++row) {
              const typename PhysicalType::c_type value = values[row];
              static_cast<parquet::TypedColumnWriter<PhysicalType>&>(writer).WriteBatch(1, nullptr, nullptr, &value);
            }
          }};
}

inline parquet::schema::NodePtr group_node(const std::string& name, parquet::Repetition::type repetition, const parquet::schema::NodeVector& fields,
                                           const Logical& logical = nullptr) {
  return parquet::schema::GroupNode::Make(name, repetition, fields, logical);
}

// Any number of values, each of which may be missing, in each row; the list may be missing too.
template <class PhysicalType>
WrittenColumn lists(const std::string& name, std::vector<std::optional<std::vector<std::optional<typename PhysicalType::c_type>>>> rows,
                    const Logical& logical = nullptr) {
  const auto element = leaf_node("element", parquet::Repetition::OPTIONAL, PhysicalType::type_num, logical, -1);
  const auto node = group_node(name, parquet::Repetition::OPTIONAL, {group_node("list", parquet::Repetition::REPEATED, {element})}, parquet::LogicalType::List());
  return {node, rows.size(), [rows](parquet::ColumnWriter& writer, std::size_t first, std::size_t last) {
            auto& typed = static_cast<parquet::TypedColumnWriter<PhysicalType>&>(writer);
            for (std::size_t row = first; row < last; ++row) {
              std::int16_t definition = rows[row].has_value(), repetition = 0;
              if (definition == 0 || rows[row]->empty()) {
                typed.WriteBatch(1, &definition, &repetition, nullptr);
                continue;
              }
              for (const auto& value : *rows[row]) {
                definition = value ? 3 : 2;
                const typename PhysicalType::c_type stored = value.value_or(typename PhysicalType::c_type{});
                typed.WriteBatch(1, &definition, &repetition, &stored);
                repetition = 1;
              }
            }
          }};
}

// Texts must live until the file is written.
inline std::vector<std::optional<parquet::ByteArray>> bytes(const std::vector<std::optional<std::string>>& texts) {
  std::vector<std::optional<parquet::ByteArray>> result;
  for (const std::optional<std::string>& text : texts)
    result.push_back(text ? std::optional(parquet::ByteArray(std::string_view(*text))) : std::nullopt);
  return result;
}

// How values are stored: as entries of a dictionary, so until it has 1 KiB and then as they are, or all as they are.
enum class Storage { kDictionary, kHalfDictionary, kPlain };

inline void write_parquet(const std::string& path, const std::vector<WrittenColumn>& columns, std::size_t rows_per_group = 1000,
                          Storage storage = Storage::kDictionary) {
  parquet::schema::NodeVector nodes;
  for (const WrittenColumn& column : columns) nodes.push_back(column.node);
  const auto schema = std::static_pointer_cast<parquet::schema::GroupNode>(group_node("schema", parquet::Repetition::REQUIRED, nodes));
  const auto sink = arrow::io::FileOutputStream::Open(path).ValueOrDie();
  parquet::WriterProperties::Builder builder;
  builder.enable_page_checksum();
  if (storage == Storage::kPlain) builder.disable_dictionary();
  if (storage == Storage::kHalfDictionary) builder.dictionary_pagesize_limit(1024);
  const auto properties = builder.build();
  const auto writer = parquet::ParquetFileWriter::Open(sink, schema, properties);
  const std::size_t rows = columns.front().rows;
  for (std::size_t first = 0; first < rows; first += rows_per_group) {
    parquet::RowGroupWriter* group = writer->AppendRowGroup();
    for (const WrittenColumn& column : columns) column.write(*group->NextColumn(), first, std::min(rows, first + rows_per_group));
  }
  writer->Close();
}

}  // namespace datasets_test

#endif  // RECHOST_TESTS_PLUGINS_PARQUET_WRITTEN_PARQUET_H
