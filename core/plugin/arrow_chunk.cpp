#include "plugin/arrow_chunk.h"

#include <algorithm>
#include <deque>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"

namespace rechost {
namespace {

class ArrowChunk final : public ChunkData {
 public:
  ArrowChunk(OwnedArray array, const ArrowColumns& schema, std::span<const std::uint32_t> wanted);
  std::span<const ColumnView> columns() const override { return views_; }
  std::int64_t rows() const override { return (*array_).length; }

 private:
  void read_column(const ArrowArray& column, const ColumnInfo& info, const ArrowLayout& layout, ColumnView& view);
  void read_values(const ArrowArray& values, std::int64_t first, std::int64_t count, const ColumnInfo& info, const ArrowLayout& layout,
                   ColumnView& view);
  void read_indices(const ArrowArray& indices, std::int64_t first, std::int64_t count, const ColumnInfo& info, const ArrowLayout& layout,
                    ColumnView& view);

  OwnedArray array_;
  std::vector<ColumnView> views_;
  std::deque<std::vector<std::int32_t>> copied_indices_;
};

[[noreturn]] void refuse(const ColumnInfo& info, const std::string& reason) {
  fail<PluginError>("read_chunk: column \"{}\": {}", info.name, reason);
}

const void* buffer(const ArrowArray& array, std::int64_t index) { return array.buffers == nullptr ? nullptr : array.buffers[index]; }

void check_shape(const ArrowArray& array, std::int64_t buffers, std::int64_t children, const ColumnInfo& info) {
  if (array.length < 0 || array.offset < 0) refuse(info, fmt::format("length {} and offset {}", array.length, array.offset));
  if (array.n_buffers != buffers) refuse(info, fmt::format("{} buffers, its type has {}", array.n_buffers, buffers));
  if (array.n_children != children) refuse(info, fmt::format("{} children, its type has {}", array.n_children, children));
}

bool bit(const void* bits, std::int64_t index) { return ((static_cast<const std::uint8_t*>(bits)[index >> 3] >> (index & 7)) & 1) != 0; }

/// Whether one of `count` values from `first` on is null. A loader that knows that there is none says so in null_count.
bool has_null(const ArrowArray& array, std::int64_t first, std::int64_t count) {
  const void* bits = buffer(array, 0);
  if (array.null_count == 0 || bits == nullptr) return false;
  for (std::int64_t i = first; i < first + count; ++i) {
    if (!bit(bits, i)) return true;
  }
  return false;
}

/// Offsets must ascend within what they point into; `limit` < 0: unknown.
template <typename Offset>
void check_offsets(const Offset* offsets, std::int64_t count, std::int64_t limit, const ColumnInfo& info) {
  if (offsets[0] < 0) refuse(info, fmt::format("the first offset is {}", offsets[0]));
  for (std::int64_t i = 0; i < count; ++i) {
    if (offsets[i + 1] < offsets[i]) refuse(info, fmt::format("offset {} is {}, after {}", i + 1, offsets[i + 1], offsets[i]));
  }
  if (limit >= 0 && offsets[count] > limit) refuse(info, fmt::format("offsets reach to {}, there are {} elements", offsets[count], limit));
}

ArrowChunk::ArrowChunk(OwnedArray array, const ArrowColumns& schema, std::span<const std::uint32_t> wanted)
    : array_(std::move(array)), views_(wanted.size()) {
  const ArrowArray& rows = *array_;
  if (rows.length < 0 || rows.offset < 0) fail<PluginError>("read_chunk: length {} and offset {}", rows.length, rows.offset);
  if (rows.n_children != static_cast<std::int64_t>(wanted.size())) {
    fail<PluginError>("read_chunk: {} columns, {} were wanted", rows.n_children, wanted.size());
  }
  if (rows.n_buffers >= 1 && has_null(rows, rows.offset, rows.length)) fail<PluginError>("read_chunk: a row is null as a whole");
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const ColumnInfo& info = schema.columns[wanted[i]];
    if (rows.children == nullptr || rows.children[i] == nullptr) refuse(info, "is null");
    read_column(*rows.children[i], info, schema.layouts[wanted[i]], views_[i]);
  }
}

void ArrowChunk::read_column(const ArrowArray& column, const ColumnInfo& info, const ArrowLayout& layout, ColumnView& view) {
  const ArrowArray& rows = *array_;
  const bool is_list = layout.lists != ArrowLayout::Lists::kNone;
  const bool is_text = layout.value == ValueType::kString && !layout.dictionary_index;
  check_shape(column, is_text && !is_list ? 3 : 2, is_list ? 1 : 0, info);
  if (column.length < rows.offset + rows.length) {
    refuse(info, fmt::format("{} rows, the chunk has {}", column.length, rows.offset + rows.length));
  }
  // The parent's slice applies to each child before the child's own.
  const std::int64_t first = rows.offset + column.offset;
  view.type = layout.value;
  view.rows = rows.length;
  if (has_null(column, first, rows.length)) {
    if (!info.nullable) refuse(info, "holds a null, but its schema does not say that it may");
    view.validity = static_cast<const std::uint8_t*>(buffer(column, 0));
    view.validity_offset = first;
  }
  if (!is_list) {
    read_values(column, first, rows.length, info, layout, view);
    return;
  }
  const void* offsets = buffer(column, 1);
  if (offsets == nullptr && rows.length > 0) refuse(info, "has no offsets");
  if (column.children == nullptr || column.children[0] == nullptr) refuse(info, "has no list elements");
  const ArrowArray& elements = *column.children[0];
  static constexpr std::int64_t kNoOffsets[1] = {0};
  if (offsets == nullptr) {
    view.list_offsets64 = kNoOffsets;
  } else if (layout.lists == ArrowLayout::Lists::kOffsets32) {
    view.list_offsets32 = static_cast<const std::int32_t*>(offsets) + first;
    check_offsets(view.list_offsets32, rows.length, elements.length, info);
  } else {
    view.list_offsets64 = static_cast<const std::int64_t*>(offsets) + first;
    check_offsets(view.list_offsets64, rows.length, elements.length, info);
  }
  check_shape(elements, is_text ? 3 : 2, 0, info);
  if (has_null(elements, elements.offset, elements.length)) refuse(info, "a list holds a null; leave it out of the list");
  read_values(elements, elements.offset, elements.length, info, layout, view);
}

/// Makes element 0 of the view the value at `first`.
void ArrowChunk::read_values(const ArrowArray& values, std::int64_t first, std::int64_t count, const ColumnInfo& info,
                             const ArrowLayout& layout, ColumnView& view) {
  if (layout.dictionary_index) {
    read_indices(values, first, count, info, layout, view);
    return;
  }
  const void* data = buffer(values, 1);
  if (data == nullptr && count > 0) refuse(info, layout.value == ValueType::kString ? "has no offsets" : "has no values");
  if (layout.value == ValueType::kString) {
    view.characters = static_cast<const char*>(buffer(values, 2));
    static constexpr std::int64_t kNoOffsets[1] = {0};
    if (data == nullptr) {
      view.string_offsets64 = kNoOffsets;
    } else if (layout.text == ArrowLayout::Text::kOffsets32) {
      view.string_offsets32 = static_cast<const std::int32_t*>(data) + first;
      check_offsets(view.string_offsets32, count, view.characters == nullptr ? 0 : -1, info);
    } else {
      view.string_offsets64 = static_cast<const std::int64_t*>(data) + first;
      check_offsets(view.string_offsets64, count, view.characters == nullptr ? 0 : -1, info);
    }
  } else if (layout.value == ValueType::kBool) {
    view.values = data;
    view.value_offset = first;
  } else if (data != nullptr) {
    view.values = static_cast<const char*>(data) + static_cast<std::size_t>(first) * width_of(layout.value);
  }
}

std::int64_t integer_at(const void* data, ValueType type, std::int64_t index) {
  switch (type) {
    case ValueType::kInt8:
      return static_cast<const std::int8_t*>(data)[index];
    case ValueType::kInt16:
      return static_cast<const std::int16_t*>(data)[index];
    case ValueType::kInt32:
      return static_cast<const std::int32_t*>(data)[index];
    case ValueType::kInt64:
      return static_cast<const std::int64_t*>(data)[index];
    case ValueType::kUint8:
      return static_cast<const std::uint8_t*>(data)[index];
    case ValueType::kUint16:
      return static_cast<const std::uint16_t*>(data)[index];
    default:
      return static_cast<const std::uint32_t*>(data)[index];
  }
}

/// Entry numbers as int32, each in [0, entries).
void ArrowChunk::read_indices(const ArrowArray& indices, std::int64_t first, std::int64_t count, const ColumnInfo& info, const ArrowLayout& layout,
                              ColumnView& view) {
  const void* numbers = buffer(indices, 1);
  if (numbers == nullptr && count > 0) refuse(info, "has no values");
  if (indices.dictionary == nullptr) refuse(info, "has no dictionary");
  const ArrowArray& dictionary = *indices.dictionary;
  check_shape(dictionary, layout.value == ValueType::kString ? 3 : 2, 0, info);
  if (has_null(dictionary, dictionary.offset, dictionary.length)) refuse(info, "an entry of its dictionary is null; make the rows null");
  ArrowLayout entry_layout = layout;
  entry_layout.dictionary_index.reset();
  read_values(dictionary, dictionary.offset, dictionary.length, info, entry_layout, view);
  view.entries = dictionary.length;

  const bool nulls = has_null(indices, first, count);
  if (*layout.dictionary_index == ValueType::kInt32 && !nulls) {
    view.indices = static_cast<const std::int32_t*>(numbers) + first;
    std::uint32_t largest = 0;
    for (std::int64_t i = 0; i < count; ++i) largest = std::max(largest, static_cast<std::uint32_t>(view.indices[i]));
    if (count == 0 || static_cast<std::int64_t>(largest) < view.entries) return;
  }
  // What stands in place of a null is anything; whoever reads a value before looking whether it is there must find an entry.
  if (nulls && view.entries == 0) {
    static constexpr std::int64_t kZeros[2] = {0, 0};
    view.entries = 1;
    view.values = kZeros;
    view.characters = "";
    view.string_offsets32 = nullptr;
    view.string_offsets64 = kZeros;
  }
  std::vector<std::int32_t>& copied = copied_indices_.emplace_back(static_cast<std::size_t>(count), 0);
  for (std::int64_t i = 0; i < count; ++i) {
    if (nulls && !bit(buffer(indices, 0), first + i)) continue;
    const std::int64_t number = integer_at(numbers, *layout.dictionary_index, first + i);
    if (number < 0 || number >= dictionary.length) refuse(info, fmt::format("row {} is entry {} of a dictionary of {}", i, number, dictionary.length));
    copied[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(number);
  }
  view.indices = copied.data();
}

}  // namespace

std::unique_ptr<ChunkData> read_arrow_chunk(OwnedArray array, const ArrowColumns& schema, std::span<const std::uint32_t> wanted) {
  return std::make_unique<ArrowChunk>(std::move(array), schema, wanted);
}

}  // namespace rechost
