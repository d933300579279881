#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace rechost {

/// A 64-bit key that was seen, and what is kept about it.
struct KeyEntry {
  std::int64_t key = 0;
  std::int64_t count = 0;      ///< occurrences in training batches
  std::int64_t last_step = 0;  ///< the last step whose batch had it; steps count from 1
  bool operator==(const KeyEntry&) const = default;
};

/// A set of keys, each in an entry with a number that stays with it. Memory follows the entries that were ever in use: 24 bytes each, and 8 to 16
/// for finding them. Reading from any thread as long as nobody changes it.
class KeyTable {
 public:
  static constexpr std::int32_t kNone = -1;

  /// Keys in it now.
  std::int64_t size() const { return static_cast<std::int64_t>(entries_.size() - free_.size()); }
  /// One more than the highest entry ever in use.
  std::int32_t entry_limit() const { return static_cast<std::int32_t>(entries_.size()); }
  bool used(std::int32_t entry) const { return entries_[static_cast<std::size_t>(entry)].last_step != 0; }
  const KeyEntry& operator[](std::int32_t entry) const { return entries_[static_cast<std::size_t>(entry)]; }

  /// The entry of `key`, kNone when it is not there.
  std::int32_t find(std::int64_t key) const;

  /// A key that is not there yet, in the lowest free entry, else in a new one; returns which.
  std::int32_t add(const KeyEntry& content);
  /// A key that is not there yet, in a new entry; with last_step 0 that entry is a free one.
  void append(const KeyEntry& content);
  /// A key that is not there yet, in place of the one in `entry`.
  void replace(std::int32_t entry, const KeyEntry& content);
  void remove(std::int32_t entry);
  void set_use(std::int32_t entry, std::int64_t count, std::int64_t last_step);

  std::uint64_t memory_bytes() const { return entries_.capacity() * sizeof(KeyEntry) + (places_.capacity() + free_.capacity()) * sizeof(std::int32_t); }

 private:
  std::size_t home(std::int64_t key) const;
  void grow();
  void insert_place(std::int32_t entry);
  void erase_place(std::int64_t key);

  std::vector<KeyEntry> entries_;     ///< last_step 0: free
  std::vector<std::int32_t> free_;    ///< a heap, the lowest on top
  std::vector<std::int32_t> places_;  ///< open addressing: a power of two of entries, at most half of them taken; kNone: free
  int shift_ = 64;                    ///< 64 - log2(places)
};

/// Keys as tensors: keys, counts and last steps, one each.
struct KeyArrays {
  std::vector<std::int64_t> keys;
  std::vector<std::int64_t> counts;
  std::vector<std::int64_t> last_steps;

  void add(const KeyEntry& entry) {
    keys.push_back(entry.key);
    counts.push_back(entry.count);
    last_steps.push_back(entry.last_step);
  }
  std::size_t size() const { return keys.size(); }
  KeyEntry operator[](std::size_t i) const { return {keys[i], counts[i], last_steps[i]}; }
};

}  // namespace rechost
