#include "data/mds_rows.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "base/error.h"
#include "data/column_values.h"

namespace rechost {

namespace {

bool is_integer(ValueType type) { return type != ValueType::kFloat32 && type != ValueType::kFloat64 && type != ValueType::kString; }

struct NumberEncoding {
  const char* name;
  std::uint32_t bytes;
};

NumberEncoding number_encoding(ValueType type) {
  switch (type) {
    case ValueType::kInt8:
      return {"int8", 1};
    case ValueType::kInt16:
      return {"int16", 2};
    case ValueType::kInt32:
      return {"int32", 4};
    case ValueType::kInt64:
      return {"int64", 8};
    case ValueType::kBool:
    case ValueType::kUint8:
      return {"uint8", 1};
    case ValueType::kUint16:
      return {"uint16", 2};
    case ValueType::kUint32:
      return {"uint32", 4};
    case ValueType::kFloat32:
      return {"float32", 4};
    case ValueType::kFloat64:
      return {"float64", 8};
    case ValueType::kString:
      break;
  }
  return {"str", 0};
}

/// Integers that need a number to spare are written in 64 bits, whatever they are in memory.
bool is_widened(const ColumnInfo& column) { return is_integer(column.type) && (column.nullable || column.is_list); }

template <typename Value>
void append_value(Value value, std::string& bytes) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}

/// Appends the values of one column; messages name it and the row of the split.
class CellEncoder {
 public:
  explicit CellEncoder(const ColumnInfo& info) : info_(info), widened_(is_widened(info)) {}

  void encode(const ColumnView& column, std::int64_t row, std::int64_t row_of_split, std::string& bytes) {
    row_of_split_ = row_of_split;
    const bool valid = column.valid(row);
    if (info_.is_list) {
      const std::int64_t begin = column.list_begin(row), end = valid ? column.list_begin(row + 1) : begin;
      return info_.type == ValueType::kString ? encode_texts(column, begin, end, bytes) : encode_array(column, begin, end, bytes);
    }
    if (info_.type == ValueType::kString) return encode_text(column, row, valid, bytes);
    if (valid) return encode_number(column, row, bytes);
    append_null(bytes);
  }

 private:
  [[noreturn]] void refuse(std::string_view value, std::string_view reason) const {
    fail<DataError>("row {}, column '{}': {} cannot be written, {}", row_of_split_, info_.name, value, reason);
  }

  void encode_number(const ColumnView& column, std::int64_t element, std::string& bytes) const {
    with_numbers(column, [&](auto read) {
      const auto value = read(element);
      if constexpr (std::is_integral_v<decltype(value)>) {
        if (!widened_) return append_value(value, bytes);
        const auto wide = static_cast<std::int64_t>(value);
        if (wide == kMdsNullInteger) refuse("the least 64-bit integer", "because it stands for a missing one");
        append_value(wide, bytes);
      } else {
        if (std::isnan(value)) refuse("NaN", "because it stands for a missing number");
        append_value(value, bytes);
      }
    });
  }

  void encode_text(const ColumnView& column, std::int64_t row, bool valid, std::string& bytes) const {
    const std::string_view text = valid ? column.string(row) : std::string_view();
    bytes += text;
    if (valid && text.empty() && info_.role == ColumnRole::kSparse) refuse("an empty text", "because it stands for a missing one");
    if (!valid && info_.role != ColumnRole::kSparse) refuse("a missing text", "only ids may be missing");
  }

  void encode_texts(const ColumnView& column, std::int64_t begin, std::int64_t end, std::string& bytes) const {
    for (std::int64_t element = begin; element < end; ++element) {
      const std::string_view text = column.string(element);
      if (text.empty() || text.find(kMdsListSeparator) != std::string_view::npos)
        refuse(fmt::format("'{}' in a list", text), "because the elements are joined with '|'");
      if (element > begin) bytes += kMdsListSeparator;
      bytes += text;
    }
  }

  /// The shape of one dimension, in the narrowest integer that holds it, then the values.
  void encode_array(const ColumnView& column, std::int64_t begin, std::int64_t end, std::string& bytes) const {
    const std::uint64_t count = begin == end ? 1 : static_cast<std::uint64_t>(end - begin);
    const int power = count < (1u << 8) ? 0 : count < (1u << 16) ? 1 : 2;
    bytes += static_cast<char>(4 + power);
    bytes.append(reinterpret_cast<const char*>(&count), std::size_t{1} << power);
    if (begin == end) append_null(bytes);
    for (std::int64_t element = begin; element < end; ++element) encode_number(column, element, bytes);
  }

  void append_null(std::string& bytes) const {
    if (widened_)
      append_value(kMdsNullInteger, bytes);
    else if (info_.type == ValueType::kFloat32)
      append_value(std::numeric_limits<float>::quiet_NaN(), bytes);
    else
      append_value(std::numeric_limits<double>::quiet_NaN(), bytes);
  }

  const ColumnInfo& info_;
  bool widened_;
  std::int64_t row_of_split_ = 0;
};

}  // namespace

MdsColumn mds_column(const ColumnInfo& column) {
  const NumberEncoding number = is_widened(column) ? NumberEncoding{"int64", 8} : number_encoding(column.type);
  if (column.type == ValueType::kString) return {column.name, column.is_binary && !column.is_list ? "bytes" : "str", std::nullopt};
  if (column.is_list) return {column.name, std::string("ndarray:") + number.name, std::nullopt};
  return {column.name, number.name, number.bytes};
}

std::vector<MdsColumn> mds_columns(const ChunkSource& source) {
  std::vector<MdsColumn> columns;
  for (const ColumnInfo& column : source.columns()) columns.push_back(mds_column(column));
  return columns;
}

MdsRows mds_rows(const ChunkSource& source, const ChunkData& chunk, const MdsFolder& folder, std::int64_t first_row, std::int64_t begin) {
  std::vector<CellEncoder> encoders;
  std::size_t varying = 0;  // columns whose sizes stand before the values
  for (std::size_t i = 0; i < folder.columns().size(); ++i) {
    encoders.emplace_back(source.columns()[folder.sources()[i]]);
    varying += folder.columns()[i].size ? 0 : 1;
  }
  MdsRows rows;
  rows.ends.reserve(static_cast<std::size_t>(chunk.rows() - begin));
  for (std::int64_t row = begin; row < chunk.rows(); ++row) {
    std::size_t size_at = rows.bytes.size();
    rows.bytes.append(varying * sizeof(std::uint32_t), '\0');
    for (std::size_t i = 0; i < encoders.size(); ++i) {
      const std::size_t before = rows.bytes.size();
      encoders[i].encode(chunk.columns()[folder.sources()[i]], row, first_row + row, rows.bytes);
      if (folder.columns()[i].size) continue;
      const std::size_t size = rows.bytes.size() - before;
      if (size > std::numeric_limits<std::uint32_t>::max()) fail<DataError>("row {}, column '{}': a value of {} bytes, which no shard can hold", first_row + row, folder.columns()[i].name, size);
      const auto written = static_cast<std::uint32_t>(size);
      std::memcpy(rows.bytes.data() + size_at, &written, sizeof written);
      size_at += sizeof written;
    }
    rows.ends.push_back(rows.bytes.size());
  }
  return rows;
}

}  // namespace rechost
