#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "data/page_memory.h"
#include "data/value_index.h"

namespace rechost {

/// Slots of an open-addressing table that is built once: 4 bytes each, one and a half per value, a value's number and some bits of its hash
/// in one word. The values lie elsewhere; the bits spare most looks at them. Free slots are 0.
class NumberSlots {
 public:
  NumberSlots() = default;
  /// For the numbers [0, count), count < 2^31.
  explicit NumberSlots(std::size_t count);

  /// Asks for the memory of find().
  void prefetch(std::uint64_t hash) const { __builtin_prefetch(slots() + home(hash)); }

  /// The number for which is_it(number) holds among those with this hash; -1: none.
  template <typename IsIt>
  std::int32_t find(std::uint64_t hash, IsIt&& is_it) const {
    if (slot_count_ == 0) return -1;
    const std::uint32_t tag = tag_of(hash);
    for (std::size_t at = home(hash);; at = at + 1 == slot_count_ ? 0 : at + 1) {
      const std::uint32_t slot = slots()[at];
      if (slot == 0) return -1;
      if ((slot & ~number_mask_) != tag) continue;
      const auto number = static_cast<std::int32_t>((slot & number_mask_) - 1);
      if (is_it(number)) return number;
    }
  }
  /// Adds a number that find() does not find.
  void add(std::uint64_t hash, std::int32_t number);

 private:
  std::uint32_t* slots() const { return static_cast<std::uint32_t*>(memory_.data()); }
  std::size_t home(std::uint64_t hash) const {
    return static_cast<std::size_t>((static_cast<unsigned __int128>(hash) * slot_count_) >> 64);
  }
  std::uint32_t tag_of(std::uint64_t hash) const { return static_cast<std::uint32_t>(hash) & ~number_mask_; }

  PageMemory memory_;
  std::size_t slot_count_ = 0;
  std::uint32_t number_mask_ = 0;
};

/// A value that a vocabulary would have twice. what() is the value.
class RepeatedValue : public DataError {
 public:
  RepeatedValue(const std::string& value, std::size_t number) : DataError(value), number_(number) {}
  /// Of the second one.
  std::size_t number() const { return number_; }

 private:
  std::size_t number_;
};

/// From so many values on, memory counts for more than a second miss to it: a lookup takes 1.7 times as long, a value a third of the bytes.
inline constexpr std::size_t kCompactValues = std::size_t{1} << 22;

/// The distinct integers of a vocabulary in the order of their rows, and the way from a value to its number. 14 bytes a value from
/// kCompactValues on, an IntegerIndex before. Immutable; any thread.
class IntegerRows {
 public:
  IntegerRows() = default;
  /// `values[n]` has number n. RepeatedValue; DataError when there are 2^31 or more.
  explicit IntegerRows(std::vector<std::int64_t> values, std::size_t compact_from = kCompactValues);

  std::int64_t size() const { return index_.size() + static_cast<std::int64_t>(values_.size()); }
  std::int64_t value(std::int32_t number) const { return values_.empty() ? index_.value(number) : values_[static_cast<std::size_t>(number)]; }
  /// -1 when it is not there.
  std::int32_t find(std::int64_t value) const;
  /// numbers[i] for values[i]; memory is asked for ahead, several times faster on large vocabularies.
  void find_all(std::span<const std::int64_t> values, std::int32_t* numbers) const;

 private:
  std::int32_t find_compact(std::int64_t value) const;

  IntegerIndex index_;                ///< holds all of a small vocabulary; then the others are empty
  std::vector<std::int64_t> values_;
  NumberSlots slots_;
};

/// The same for strings: their bytes and, from kCompactValues on, 14 more each.
class StringRows {
 public:
  StringRows() = default;
  /// String n owns characters [ends[n - 1], ends[n]).
  StringRows(std::vector<char> characters, std::vector<std::uint64_t> ends, std::size_t compact_from = kCompactValues);

  std::int64_t size() const { return index_.size() + static_cast<std::int64_t>(ends_.size()); }
  /// Borrowed from this object.
  std::string_view value(std::int32_t number) const { return ends_.empty() ? index_.value(number) : compact_value(number); }
  std::int32_t find(std::string_view value) const;
  void find_all(std::span<const std::string_view> values, std::int32_t* numbers) const;

 private:
  std::string_view compact_value(std::int32_t number) const;

  StringIndex index_;                 ///< holds all of a small vocabulary; then the others are empty
  std::vector<char> characters_;
  std::vector<std::uint64_t> ends_;
  NumberSlots slots_;
};

}  // namespace rechost
