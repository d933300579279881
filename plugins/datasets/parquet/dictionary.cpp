#include "dictionary.h"

#include <parquet/column_reader.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "leaf_reader.h"
#include "text/fields.h"

namespace parquet_loader {
namespace {

using Kind = text::SourceColumn::Kind;

constexpr std::int64_t kBatch = 1 << 14;

std::string_view text_of(const parquet::ByteArray& stored) { return {reinterpret_cast<const char*>(stored.ptr), stored.len}; }

// Takes over the entries of a dictionary; false: they are not for this way. `is_null` [entries, or empty]: entries that stand for no value.
template <class Stored>
bool append_entries(const Stored* stored, std::size_t count, const Leaf& leaf, rechost::ColumnBuilder* builder, std::vector<std::uint8_t>& is_null) {
  if constexpr (std::is_same_v<Stored, parquet::ByteArray>) {
    const bool bytes = leaf.declared.kind == Kind::kBytes;
    for (std::size_t i = 0; i < count; ++i) {
      const std::string_view text = text_of(stored[i]);
      if (!bytes && text::find_invalid_utf8(text) != std::string_view::npos) return false;
      if (!text.empty()) continue;
      is_null.resize(count, 0);
      is_null[i] = 1;
    }
    for (std::size_t i = 0; i < count && builder != nullptr; ++i) builder->entries().append_text(text_of(stored[i]));
  } else if (builder != nullptr) {
    auto* const values = builder->entries().append_uninitialised<std::int64_t>(count);
    for (std::size_t i = 0; i < count; ++i) values[i] = as_integer(stored[i], leaf.is_unsigned);
  }
  return true;
}

// Copies entry numbers and returns the largest.
std::uint32_t copy_indices(const std::int32_t* from, std::size_t count, std::int32_t* to) {
  std::uint32_t largest = 0;
  for (std::size_t i = 0; i < count; ++i) {
    largest = std::max(largest, static_cast<std::uint32_t>(from[i]));
    to[i] = from[i];
  }
  return largest;
}

// The rows of one batch: `indices` of those that have a value, `definitions` [rows, or empty: all have one]. Returns the largest entry number.
std::uint32_t append_rows(const std::vector<std::int32_t>& indices, std::size_t rows, const std::vector<std::int16_t>& definitions, std::int16_t value_level,
                 const std::vector<std::uint8_t>& is_null, std::size_t value_count, rechost::ColumnBuilder& builder) {
  const std::int64_t first = builder.rows();
  std::int32_t* const entries = builder.append_entries(rows);
  std::uint32_t largest = 0;
  if (value_count == rows) {
    largest = copy_indices(indices.data(), rows, entries);
  } else {
    const std::int32_t* next = indices.data();
    for (std::size_t row = 0; row < rows; ++row) {
      const bool there = definitions[row] == value_level;
      entries[row] = there ? *next : 0;
      largest = std::max(largest, static_cast<std::uint32_t>(entries[row]));
      next += there;
      if (!there) builder.set_null(first + static_cast<std::int64_t>(row));
    }
  }
  if (is_null.empty() || largest >= is_null.size()) return largest;
  for (std::size_t row = 0; row < rows; ++row) {
    if (is_null[static_cast<std::size_t>(entries[row])] != 0) builder.set_null(first + static_cast<std::int64_t>(row));
  }
  return largest;
}

template <class PhysicalType>
std::optional<std::int64_t> read(parquet::ColumnReader& any_reader, const Leaf& leaf, rechost::ColumnBuilder* builder) {
  auto& reader = static_cast<parquet::TypedColumnReader<PhysicalType>&>(any_reader);
  std::vector<std::int32_t> indices(kBatch);
  std::vector<std::int16_t> definitions(leaf.value_level > 0 ? kBatch : 0);
  std::vector<std::uint8_t> is_null;
  std::optional<std::int32_t> entries;
  std::int64_t rows = 0;
  while (reader.HasNext()) {
    const typename PhysicalType::c_type* dictionary = nullptr;
    std::int32_t dictionary_size = 0;
    std::int64_t value_count = 0;
    const std::int64_t levels = reader.ReadBatchWithDictionary(kBatch, definitions.empty() ? nullptr : definitions.data(), nullptr, indices.data(),
                                                               &value_count, &dictionary, &dictionary_size);
    const std::int64_t size = definitions.empty() ? value_count : levels;
    if (size == 0) throw parquet::ParquetException("a page ends before its values do");
    // Where there are as many values as rows, every row has one.
    if (value_count != size && std::count(definitions.begin(), definitions.begin() + size, leaf.value_level) != value_count)
      throw parquet::ParquetException("a page has fewer values than it says");
    if (!entries && dictionary != nullptr) {
      if (!append_entries(dictionary, static_cast<std::size_t>(dictionary_size), leaf, builder, is_null)) return std::nullopt;
      entries = dictionary_size;
    }
    const std::uint32_t largest =
        builder != nullptr
            ? append_rows(indices, static_cast<std::size_t>(size), definitions, leaf.value_level, is_null, static_cast<std::size_t>(value_count), *builder)
            : copy_indices(indices.data(), static_cast<std::size_t>(value_count), indices.data());
    if (value_count > 0 && largest >= static_cast<std::uint32_t>(entries.value_or(0)))
      throw parquet::ParquetException("a value is entry " + std::to_string(largest) + " of a dictionary of " + std::to_string(entries.value_or(0)));
    rows += size;
  }
  return rows;
}

}  // namespace

bool is_all_dictionary(const parquet::ColumnChunkMetaData& chunk) {
  if (!chunk.has_dictionary_page() || chunk.encoding_stats().empty()) return false;
  const auto is_dictionary = [](const parquet::PageEncodingStats& pages) {
    return pages.page_type == parquet::PageType::DICTIONARY_PAGE || pages.encoding == parquet::Encoding::RLE_DICTIONARY ||
           pages.encoding == parquet::Encoding::PLAIN_DICTIONARY;
  };
  return std::all_of(chunk.encoding_stats().begin(), chunk.encoding_stats().end(), is_dictionary);
}

std::optional<std::int64_t> read_dictionary(parquet::RowGroupReader& group, const Leaf& leaf, rechost::ColumnBuilder* builder) {
  if (leaf.declared.array || leaf.can_exceed) return std::nullopt;
  const std::shared_ptr<parquet::ColumnReader> reader = group.ColumnWithExposeEncoding(leaf.column, parquet::ExposedEncoding::DICTIONARY);
  if (reader->GetExposedEncoding() != parquet::ExposedEncoding::DICTIONARY) return std::nullopt;
  switch (reader->type()) {
    case parquet::Type::INT32:
      return read<parquet::Int32Type>(*reader, leaf, builder);
    case parquet::Type::INT64:
      return read<parquet::Int64Type>(*reader, leaf, builder);
    case parquet::Type::BYTE_ARRAY:
      return read<parquet::ByteArrayType>(*reader, leaf, builder);
    default:
      return std::nullopt;
  }
}

}  // namespace parquet_loader
