// Columns and arrays of the Arrow C data interface, as a loader makes them
// (https://arrow.apache.org/docs/format/CDataInterface.html). A loader describes its columns once (`Column`), fills one
// `ColumnBuilder` per wanted column, and hands the finished arrays over. The release callbacks are the delicate part:
// they live here so that no loader writes them again.
#ifndef RECHOST_CXX_ARROW_HPP
#define RECHOST_CXX_ARROW_HPP

#include <sys/mman.h>

#include <array>
#include <cassert>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "rechost/cxx/plugin.hpp"
#include "rechost/dataset.h"

namespace rechost {
inline namespace v1_0 __attribute__((visibility("hidden"))) {

  // The letter is the type's Arrow format string.
  enum class Type : char {
    kFloat32 = 'f',
    kFloat64 = 'g',
    kInt8 = 'c',
    kInt16 = 's',
    kInt32 = 'i',
    kInt64 = 'l',
    kUint8 = 'C',
    kUint16 = 'S',
    kUint32 = 'I',
    kBool = 'b',
    kText = 'u',
    kLargeText = 'U',
    kBinary = 'z',
  };

  inline bool is_text(Type type) { return type == Type::kText || type == Type::kLargeText || type == Type::kBinary; }

  // Bytes of one value; 0 for types without a fixed width in bytes.
  inline std::size_t width_of(Type type) {
    switch (type) {
      case Type::kInt8:
      case Type::kUint8:
        return 1;
      case Type::kInt16:
      case Type::kUint16:
        return 2;
      case Type::kFloat32:
      case Type::kInt32:
      case Type::kUint32:
        return 4;
      case Type::kFloat64:
      case Type::kInt64:
        return 8;
      default:
        return 0;
    }
  }

  enum class Role { kDense, kSparse, kLabel, kWeight, kId, kTime, kCandidates };

  inline std::string_view name_of(Role role) {
    constexpr std::string_view kNames[] = {"dense", "sparse", "label", "weight", "id", "time", "candidates"};
    return kNames[static_cast<std::size_t>(role)];
  }

  // Every member has an initialiser, so that designated initialisers may leave it out without a warning.
  struct Column {
    std::string name{};
    Type type = Type::kFloat32;
    Role role = Role::kDense;
    bool list = false;      // each row holds any number of values
    bool nullable = false;  // a row may hold no value (no list); values inside a list are never null
    // Integers and texts that repeat: rows hold numbers of entries, and the host encodes each entry of a chunk once. Not for lists.
    bool dictionary = false;
    std::string entity{};   // "user", "item" or empty
    bool key = false;       // identifies its entity
    std::optional<std::int64_t> cardinality{};
    std::string label_kind{};  // labels only: "binary", "regression", "multiclass"
  };

  using Metadata = std::vector<std::pair<std::string, std::string>>;

  inline Metadata metadata_of(const Column& column) {
    Metadata metadata{{RH_ROLE_KEY, std::string(name_of(column.role))}};
    if (!column.entity.empty()) metadata.emplace_back(RH_ENTITY_KEY, column.entity);
    if (column.key) metadata.emplace_back(RH_IS_KEY_KEY, "1");
    if (column.cardinality) metadata.emplace_back(RH_CARDINALITY_KEY, std::to_string(*column.cardinality));
    if (!column.label_kind.empty()) metadata.emplace_back(RH_LABEL_KIND_KEY, column.label_kind);
    return metadata;
  }

  // Arrow's encoding: native int32 counts and lengths, each followed by its bytes.
  inline std::string encode_metadata(const Metadata& metadata) {
    if (metadata.empty()) return {};
    std::string bytes;
    const auto put_count = [&bytes](std::size_t count) {
      const auto value = static_cast<std::int32_t>(count);
      bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
    };
    put_count(metadata.size());
    for (const auto& [key, value] : metadata) {
      put_count(key.size());
      bytes += key;
      put_count(value.size());
      bytes += value;
    }
    return bytes;
  }

  // ---- schema ----

  namespace detail {

  // What a schema node points into; deleted by its release callback.
  struct SchemaOwner {
    std::string format, name, metadata;
    std::vector<std::unique_ptr<ArrowSchema>> children;
    std::vector<ArrowSchema*> child_pointers;
    std::unique_ptr<ArrowSchema> dictionary;
  };

  inline void release_schema(ArrowSchema* schema) {
    const std::unique_ptr<SchemaOwner> owner(static_cast<SchemaOwner*>(schema->private_data));
    // A child that the consumer has moved away has a null release: it is theirs now.
    for (const auto& child : owner->children)
      if (child->release != nullptr) child->release(child.get());
    if (owner->dictionary != nullptr && owner->dictionary->release != nullptr) owner->dictionary->release(owner->dictionary.get());
    schema->release = nullptr;
  }

  inline void fill_schema(ArrowSchema& schema, std::string format, std::string name, const Metadata& metadata, std::int64_t flags,
                          std::vector<std::unique_ptr<ArrowSchema>> children, std::unique_ptr<ArrowSchema> dictionary = nullptr) {
    auto owner = std::make_unique<SchemaOwner>();
    owner->format = std::move(format);
    owner->name = std::move(name);
    owner->metadata = encode_metadata(metadata);
    owner->children = std::move(children);
    for (const auto& child : owner->children) owner->child_pointers.push_back(child.get());
    owner->dictionary = std::move(dictionary);
    schema = {};
    schema.dictionary = owner->dictionary.get();
    schema.format = owner->format.c_str();
    schema.name = owner->name.c_str();
    schema.metadata = owner->metadata.empty() ? nullptr : owner->metadata.data();
    schema.flags = flags;
    schema.n_children = static_cast<std::int64_t>(owner->children.size());
    schema.children = owner->child_pointers.empty() ? nullptr : owner->child_pointers.data();
    schema.release = release_schema;
    schema.private_data = owner.release();
  }

  }  // namespace detail

  inline void export_column(const Column& column, ArrowSchema& schema) {
    const std::int64_t flags = column.nullable ? ARROW_FLAG_NULLABLE : 0;
    const std::string value_format(1, static_cast<char>(column.type));
    if (column.dictionary) {
      if (column.list) throw std::logic_error("column '" + column.name + "': a list of dictionary entries");
      auto entries = std::make_unique<ArrowSchema>();
      detail::fill_schema(*entries, value_format, "", {}, 0, {});
      return detail::fill_schema(schema, "i", column.name, metadata_of(column), flags, {}, std::move(entries));
    }
    if (!column.list) return detail::fill_schema(schema, value_format, column.name, metadata_of(column), flags, {});
    std::vector<std::unique_ptr<ArrowSchema>> children;
    children.push_back(std::make_unique<ArrowSchema>());
    detail::fill_schema(*children[0], value_format, "item", {}, 0, {});
    detail::fill_schema(schema, "+l", column.name, metadata_of(column), flags, std::move(children));
  }

  // `schema` is filled; the caller releases it.
  inline void export_schema(std::span<const Column> columns, const Metadata& metadata, ArrowSchema& schema) {
    std::vector<std::unique_ptr<ArrowSchema>> children;
    for (const Column& column : columns) {
      children.push_back(std::make_unique<ArrowSchema>());
      export_column(column, *children.back());
    }
    detail::fill_schema(schema, "+s", "", metadata, 0, std::move(children));
  }

  // ---- arrays ----

  // A growing run of bytes, aligned for vector instructions. Growth leaves the new bytes uninitialised, which
  // std::vector cannot.
  class Buffer {
   public:
    Buffer() = default;
    Buffer(Buffer&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)), capacity_(std::exchange(other.capacity_, 0)) {}
    Buffer& operator=(Buffer&& other) noexcept {
      std::swap(data_, other.data_);
      std::swap(size_, other.size_);
      std::swap(capacity_, other.capacity_);
      return *this;
    }
    ~Buffer() { std::free(data_); }

    std::size_t size() const { return size_; }
    char* data() { return data_; }
    // Never null: consumers may add offsets to it even when it is empty.
    const void* exported() const {
      alignas(64) static const char kEmpty[64] = {};
      return data_ != nullptr ? data_ : kEmpty;
    }

    void reserve(std::size_t bytes) {
      if (bytes <= capacity_) return;
      std::size_t capacity = capacity_ < 1024 ? 1024 : capacity_ + capacity_ / 2;
      if (capacity < bytes) capacity = bytes;
      // Columns of a chunk are large and new each time: with small pages most of the time would go into asking the kernel for them.
      const std::size_t alignment = capacity >= kHugePage ? kHugePage : kAlignment;
      capacity = (capacity + alignment - 1) / alignment * alignment;
      auto* grown = static_cast<char*>(std::aligned_alloc(alignment, capacity));
      if (grown == nullptr) throw std::bad_alloc();
      if (alignment == kHugePage) ::madvise(grown, capacity, MADV_HUGEPAGE);
      if (size_ != 0) std::memcpy(grown, data_, size_);
      std::free(data_);
      data_ = grown;
      capacity_ = capacity;
    }
    // Appends `bytes` uninitialised bytes and returns where they begin.
    char* grow(std::size_t bytes) {
      reserve(size_ + bytes);
      char* begin = data_ + size_;
      size_ += bytes;
      return begin;
    }
    template <class T>
    void push(T value) {
      std::memcpy(grow(sizeof value), &value, sizeof value);
    }
    template <class T>
    T at(std::size_t index) const {
      T value;
      std::memcpy(&value, data_ + index * sizeof(T), sizeof(T));
      return value;
    }
    void shrink(std::size_t bytes) { size_ = bytes; }

   private:
    static constexpr std::size_t kAlignment = 64;
    static constexpr std::size_t kHugePage = std::size_t{2} << 20;
    char* data_ = nullptr;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;
  };

  namespace detail {

  // What an array node points into; deleted by its release callback, on any thread.
  struct ArrayOwner {
    std::array<Buffer, 3> storage;
    std::array<const void*, 3> buffers{};
    std::vector<std::unique_ptr<ArrowArray>> children;
    std::vector<ArrowArray*> child_pointers;
    std::unique_ptr<ArrowArray> dictionary;
  };

  inline void release_array(ArrowArray* array) {
    const std::unique_ptr<ArrayOwner> owner(static_cast<ArrayOwner*>(array->private_data));
    for (const auto& child : owner->children)
      if (child->release != nullptr) child->release(child.get());
    if (owner->dictionary != nullptr && owner->dictionary->release != nullptr) owner->dictionary->release(owner->dictionary.get());
    array->release = nullptr;
  }

  // `owner->storage` becomes the buffers; the first is the validity bitmap, absent when empty.
  inline void fill_array(ArrowArray& array, std::unique_ptr<ArrayOwner> owner, std::int64_t length, std::int64_t null_count,
                         std::int64_t buffer_count) {
    for (std::size_t i = 0; i < static_cast<std::size_t>(buffer_count); ++i)
      owner->buffers[i] = i == 0 && null_count == 0 ? nullptr : owner->storage[i].exported();
    for (const auto& child : owner->children) owner->child_pointers.push_back(child.get());
    array = {};
    array.length = length;
    array.null_count = null_count;
    array.n_buffers = buffer_count;
    array.buffers = owner->buffers.data();
    array.n_children = static_cast<std::int64_t>(owner->children.size());
    array.children = owner->child_pointers.empty() ? nullptr : owner->child_pointers.data();
    array.dictionary = owner->dictionary.get();
    array.release = release_array;
    array.private_data = owner.release();
  }

  template <class T>
  constexpr bool holds(Type type) {
    switch (type) {
      case Type::kFloat32:
        return std::is_same_v<T, float>;
      case Type::kFloat64:
        return std::is_same_v<T, double>;
      case Type::kInt8:
        return std::is_same_v<T, std::int8_t>;
      case Type::kInt16:
        return std::is_same_v<T, std::int16_t>;
      case Type::kInt32:
        return std::is_same_v<T, std::int32_t>;
      case Type::kInt64:
        return std::is_same_v<T, std::int64_t>;
      case Type::kUint8:
        return std::is_same_v<T, std::uint8_t>;
      case Type::kUint16:
        return std::is_same_v<T, std::uint16_t>;
      case Type::kUint32:
        return std::is_same_v<T, std::uint32_t>;
      default:
        return false;
    }
  }

  }  // namespace detail

  // Collects the values of one column. For a list column, append the values of a row and then call end_list(). For a dictionary column,
  // append the entries to entries() and append_entries() for the rows; or append values as elsewhere, each of which becomes an entry of its own.
  class ColumnBuilder {
   public:
    explicit ColumnBuilder(const Column& column)
        : type_(column.dictionary ? Type::kInt32 : column.type), list_(column.list), nullable_(column.nullable) {
      if (column.dictionary) {
        Column entries = column;
        entries.dictionary = entries.nullable = false;
        entries_ = std::make_unique<ColumnBuilder>(entries);
      }
      if (list_) list_offsets_.push<std::int32_t>(0);
      if (is_text(type_)) push_text_offset();
    }

    // Of the values; of a dictionary column, of its entries.
    Type type() const { return entries_ != nullptr ? entries_->type_ : type_; }
    std::int64_t rows() const { return rows_; }

    // Dictionary columns: the entries, numbered from 0 as they are appended. truncate() leaves them alone.
    bool is_dictionary() const { return entries_ != nullptr; }
    ColumnBuilder& entries() { return *entries_; }
    // Rows whose entries the caller writes through the returned pointer, before the next call.
    std::int32_t* append_entries(std::size_t count) {
      assert(entries_ != nullptr);
      return append_plain<std::int32_t>(count);
    }

    // Room for `count` more values, so that appending them moves nothing.
    void reserve(std::size_t count) { values_.reserve(values_.size() + count * (width_of(type_) != 0 ? width_of(type_) : 8)); }

    // T is exactly the column's type: no conversion happens behind the author's back.
    template <class T>
    void append(T value) {
      static_assert(std::is_arithmetic_v<T>);
      if (entries_ != nullptr) {
        entries_->append(value);
        return append_last_entries(1);
      }
      if constexpr (std::is_same_v<T, bool>) {
        assert(type_ == Type::kBool);
        append_bit(value);
      } else {
        assert(detail::holds<T>(type_));
        values_.push(value);
      }
      count_value(1);
    }
    // Appends `count` values that the caller writes through the returned pointer, before the next call.
    template <class T>
    T* append_uninitialised(std::size_t count) {
      if (entries_ == nullptr) return append_plain<T>(count);
      T* const values = entries_->append_plain<T>(count);
      append_last_entries(count);
      return values;
    }
    void append_text(std::string_view text) {
      if (entries_ != nullptr) {
        entries_->append_text(text);
        return append_last_entries(1);
      }
      assert(is_text(type_));
      if (!text.empty()) std::memcpy(values_.grow(text.size()), text.data(), text.size());
      push_text_offset();
      count_value(1);
    }
    // Appends text(i) for 0 <= i < count, for which 16 bytes past its end must be readable: short texts are then copied without a branch.
    template <class Text>
    void append_texts(std::size_t count, Text&& text) {
      if (entries_ != nullptr) {
        entries_->append_texts(count, std::forward<Text>(text));
        return append_last_entries(count);
      }
      assert(is_text(type_) && !list_);
      constexpr std::size_t kCopied = 16;
      std::size_t bytes = 0;
      for (std::size_t i = 0; i < count; ++i) bytes += std::string_view(text(i)).size();
      const std::size_t before = values_.size();
      if (type_ != Type::kLargeText) narrow(static_cast<std::int64_t>(before + bytes));
      values_.reserve(before + bytes + kCopied);
      char* to = values_.data() + before;
      const auto copy = [&](auto* offsets, auto offset) {
        for (std::size_t i = 0; i < count; ++i) {
          const std::string_view each = text(i);
          if (each.size() <= kCopied)
            std::memcpy(to, each.data(), kCopied);
          else
            std::memcpy(to, each.data(), each.size());
          to += each.size();
          offset = static_cast<decltype(offset)>(offset + static_cast<decltype(offset)>(each.size()));
          std::memcpy(offsets + i, &offset, sizeof offset);
        }
      };
      if (type_ == Type::kLargeText)
        copy(reinterpret_cast<std::int64_t*>(text_offsets_.grow(count * sizeof(std::int64_t))), static_cast<std::int64_t>(before));
      else
        copy(reinterpret_cast<std::int32_t*>(text_offsets_.grow(count * sizeof(std::int32_t))), static_cast<std::int32_t>(before));
      values_.grow(bytes);
      count_value(static_cast<std::int64_t>(count));
    }
    // The row was appended with some value and has none after all; not for list columns. With append_uninitialised() the way to write a
    // column whose nulls are few.
    void set_null(std::int64_t row) {
      if (!nullable_) throw std::logic_error("null set in a column that is not nullable");
      assert(!list_ && row >= 0 && row < rows_);
      if (null_count_ == 0) begin_validity();
      if (!bit(validity_, row)) return;
      auto& target = reinterpret_cast<unsigned char&>(validity_.data()[row / 8]);
      target = static_cast<unsigned char>(target & ~(1u << (row % 8)));
      ++null_count_;
    }
    // A row without value; of a list column, a row without list.
    void append_null() {
      if (!nullable_) throw std::logic_error("null appended to a column that is not nullable");
      if (!list_) {
        if (is_text(type_))
          push_text_offset();
        else if (type_ == Type::kBool)
          append_bit(false);
        else
          std::memset(values_.grow(width_of(type_)), 0, width_of(type_));
        ++value_count_;
      } else {
        push_list_offset();
      }
      if (null_count_ == 0) begin_validity();
      push_bit(validity_, rows_, false);
      ++null_count_;
      ++rows_;
    }
    void end_list() {
      assert(list_);
      push_list_offset();
      end_row();
    }

    // Forgets every row from `rows` on, and values of a list that was not ended: how a bad row is taken back.
    void truncate(std::int64_t rows) {
      while (rows_ > rows) {
        --rows_;
        if (null_count_ != 0 && !bit(validity_, rows_)) --null_count_;
      }
      if (list_) {
        list_offsets_.shrink((static_cast<std::size_t>(rows) + 1) * sizeof(std::int32_t));
        value_count_ = list_offsets_.at<std::int32_t>(static_cast<std::size_t>(rows));
      } else {
        value_count_ = rows;
      }
      const auto values = static_cast<std::size_t>(value_count_);
      if (type_ == Type::kLargeText) {
        text_offsets_.shrink((values + 1) * sizeof(std::int64_t));
        values_.shrink(static_cast<std::size_t>(text_offsets_.at<std::int64_t>(values)));
      } else if (is_text(type_)) {
        text_offsets_.shrink((values + 1) * sizeof(std::int32_t));
        values_.shrink(static_cast<std::size_t>(text_offsets_.at<std::int32_t>(values)));
      } else {
        values_.shrink(type_ == Type::kBool ? (values + 7) / 8 : values * width_of(type_));
      }
    }

    // Hands everything over; the builder is spent. The caller releases `array`.
    void finish(ArrowArray& array) {
      auto owner = std::make_unique<detail::ArrayOwner>();
      if (list_) {
        owner->storage = {std::move(validity_), std::move(list_offsets_), Buffer()};
        owner->children.push_back(std::make_unique<ArrowArray>());
        finish_values(*owner->children[0], Buffer(), 0);
        detail::fill_array(array, std::move(owner), rows_, null_count_, 2);
      } else {
        finish_values(array, std::move(validity_), null_count_);
      }
    }

   private:
    template <class T>
    T* append_plain(std::size_t count) {
      assert(detail::holds<T>(type_));
      char* begin = values_.grow(count * sizeof(T));
      count_value(static_cast<std::int64_t>(count));
      return reinterpret_cast<T*>(begin);
    }
    // Rows for the last entries, one each.
    void append_last_entries(std::size_t count) {
      std::int32_t number = narrow(entries_->rows()) - static_cast<std::int32_t>(count);
      std::int32_t* const rows = append_entries(count);
      for (std::size_t i = 0; i < count; ++i) rows[i] = number++;
    }
    static bool bit(const Buffer& bits, std::int64_t index) {
      return (bits.at<unsigned char>(static_cast<std::size_t>(index / 8)) >> (index % 8) & 1) != 0;
    }
    // Sets bit `index`, which is at or past the end. A byte that truncate() left behind is reused.
    static void push_bit(Buffer& bits, std::int64_t index, bool value) {
      const auto byte = static_cast<std::size_t>(index / 8);
      if (bits.size() <= byte) bits.push<char>(0);
      const auto mask = static_cast<unsigned char>(1u << (index % 8));
      auto& target = reinterpret_cast<unsigned char&>(bits.data()[byte]);
      target = static_cast<unsigned char>(value ? target | mask : target & ~mask);
    }
    // Sets bits [first, first + count), which are at or past the end.
    static void push_ones(Buffer& bits, std::int64_t first, std::int64_t count) {
      for (; count > 0 && first % 8 != 0; ++first, --count) push_bit(bits, first, true);
      if (count == 0) return;
      bits.shrink(static_cast<std::size_t>(first / 8));
      if (const auto whole = static_cast<std::size_t>(count / 8); whole > 0) std::memset(bits.grow(whole), 0xff, whole);
      for (std::int64_t i = count - count % 8; i < count; ++i) push_bit(bits, first + i, true);
    }
    void begin_validity() {
      validity_.shrink(0);
      push_ones(validity_, 0, rows_);
    }
    void append_bit(bool value) { push_bit(values_, value_count_, value); }
    void count_value(std::int64_t count) {
      value_count_ += count;
      if (list_) return;
      if (null_count_ != 0) push_ones(validity_, rows_, count);
      rows_ += count;
    }
    void end_row() {
      if (null_count_ != 0) push_bit(validity_, rows_, true);
      ++rows_;
    }
    void push_list_offset() { list_offsets_.push(narrow(value_count_)); }
    void push_text_offset() {
      if (type_ == Type::kLargeText)
        text_offsets_.push(static_cast<std::int64_t>(values_.size()));
      else
        text_offsets_.push(narrow(static_cast<std::int64_t>(values_.size())));
    }
    static std::int32_t narrow(std::int64_t offset) {
      if (offset > std::numeric_limits<std::int32_t>::max())
        throw std::length_error("a column of one chunk holds 2^31 values or bytes; make the chunks smaller");
      return static_cast<std::int32_t>(offset);
    }
    void finish_values(ArrowArray& array, Buffer validity, std::int64_t null_count) {
      auto owner = std::make_unique<detail::ArrayOwner>();
      if (is_text(type_)) {
        owner->storage = {std::move(validity), std::move(text_offsets_), std::move(values_)};
        detail::fill_array(array, std::move(owner), value_count_, null_count, 3);
      } else {
        owner->storage = {std::move(validity), std::move(values_), Buffer()};
        if (entries_ != nullptr) {
          owner->dictionary = std::make_unique<ArrowArray>();
          entries_->finish(*owner->dictionary);
        }
        detail::fill_array(array, std::move(owner), value_count_, null_count, 2);
      }
    }

    Type type_;
    bool list_, nullable_;
    std::int64_t rows_ = 0;
    std::int64_t value_count_ = 0;  // values in values_; equals rows_ unless this is a list column
    std::int64_t null_count_ = 0;
    Buffer values_, text_offsets_, list_offsets_;
    Buffer validity_;  // begun at the first null
    std::unique_ptr<ColumnBuilder> entries_;  // of a dictionary column, whose own values are their numbers
  };

  // `array` becomes a struct array of `length` rows over the finished builders, in order. The caller releases it.
  inline void finish_struct(std::span<ColumnBuilder> builders, std::int64_t length, ArrowArray & array) {
    auto owner = std::make_unique<detail::ArrayOwner>();
    // If a later child fails to be made, those before it must not leak.
    struct Guard {
      detail::ArrayOwner* owner;
      ~Guard() {
        if (owner == nullptr) return;
        for (const auto& child : owner->children)
          if (child->release != nullptr) child->release(child.get());
      }
    } guard{owner.get()};
    for (ColumnBuilder& builder : builders) {
      owner->children.push_back(std::make_unique<ArrowArray>());
      builder.finish(*owner->children.back());
    }
    owner->child_pointers.reserve(owner->children.size());
    guard.owner = nullptr;
    detail::fill_array(array, std::move(owner), length, 0, 1);
  }

}  // namespace )
}  // namespace rechost

#endif  // RECHOST_CXX_ARROW_HPP
