#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace rechost {

/// Distinct int64 values, numbered 0, 1, 2, ... in order of insertion. Open addressing; about 24 bytes per value.
/// Reading is safe from several threads as long as nobody inserts.
class IntegerIndex {
 public:
  std::int64_t size() const { return static_cast<std::int64_t>(values_.size()); }
  std::int64_t value(std::int32_t number) const { return values_[static_cast<std::size_t>(number)]; }
  std::span<const std::int64_t> values() const { return values_; }

  /// The number of `value`, -1 when it is not there.
  std::int32_t find(std::int64_t value) const;
  /// The number of `value`, which is added when new. DataError past 2^31 - 16 values.
  std::int32_t insert(std::int64_t value);

  /// The same for many at once: memory is asked for ahead, several times faster on large indexes. numbers[i] belongs to values[i].
  void find_all(std::span<const std::int64_t> values, std::int32_t* numbers) const;
  void insert_all(std::span<const std::int64_t> values, std::int32_t* numbers);

  void reserve(std::int64_t count);
  /// What it takes, at most, while `more` values come in.
  std::uint64_t memory_bytes_with(std::int64_t more) const;
  /// Forgets all values, keeps the memory.
  void clear();

 private:
  struct Slot {
    std::int64_t value;
    std::int32_t number;  ///< -1: free
  };

  std::size_t home(std::int64_t value) const;
  void grow(std::size_t slots);

  std::vector<Slot> slots_;  ///< a power of two, or none
  int shift_ = 64;           ///< 64 - log2(slots)
  std::vector<std::int64_t> values_;
};

/// Distinct strings, numbered in order of insertion; the characters lie in one block. Threads: as IntegerIndex.
class StringIndex {
 public:
  std::int64_t size() const { return static_cast<std::int64_t>(ends_.size()); }
  /// Borrowed until the next insertion.
  std::string_view value(std::int32_t number) const;

  std::int32_t find(std::string_view value) const;
  std::int32_t insert(std::string_view value);

  std::uint64_t character_count() const { return characters_.size(); }
  /// What it takes, at most, while `more` values of so many characters come in.
  std::uint64_t memory_bytes_with(std::int64_t more, std::uint64_t characters) const;
  /// The same for many at once, as in IntegerIndex. The values do not lie in this index.
  void find_all(std::span<const std::string_view> values, std::int32_t* numbers) const;
  void insert_all(std::span<const std::string_view> values, std::int32_t* numbers);

  void clear();

 private:
  /// What a slot is compared with: the bytes themselves where there are at most eight, which nearly all ids have, else their hash; then a
  /// match is not yet proof.
  struct Key {
    std::uint64_t bits;
    std::uint32_t length;
    bool operator==(const Key&) const = default;
  };
  /// 16 bytes: four to a line of memory.
  struct Slot {
    std::uint64_t bits;
    std::uint32_t length;
    std::int32_t number;  ///< -1: free

    Key key() const { return {bits, length}; }
  };

  static Key key_of(std::string_view value);
  std::size_t home(const Key& key) const;
  std::int32_t find(const Key& key, std::string_view value) const;
  std::int32_t insert(const Key& key, std::string_view value);
  void grow(std::size_t slots);

  std::vector<Slot> slots_;  ///< a power of two, or none
  int shift_ = 64;           ///< 64 - log2(slots)
  std::vector<char> characters_;
  std::vector<std::uint64_t> ends_;  ///< value n owns characters_ [ends_[n - 1], ends_[n])
};

}  // namespace rechost
