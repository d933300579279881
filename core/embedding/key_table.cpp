#include "embedding/key_table.h"

#include <algorithm>
#include <bit>
#include <functional>

#include "base/error.h"
#include "base/philox.h"

namespace rechost {
namespace {

constexpr std::size_t kFewestPlaces = 64;

}  // namespace

/// Keys are most often small numbers in a row, so their bits are mixed first.
std::size_t KeyTable::home(std::int64_t key) const { return static_cast<std::size_t>(derive_seed(static_cast<std::uint64_t>(key), 0) >> shift_); }

std::int32_t KeyTable::find(std::int64_t key) const {
  if (places_.empty()) return kNone;
  const std::size_t mask = places_.size() - 1;
  for (std::size_t at = home(key);; at = (at + 1) & mask) {
    const std::int32_t entry = places_[at];
    if (entry == kNone || entries_[static_cast<std::size_t>(entry)].key == key) return entry;
  }
}

void KeyTable::insert_place(std::int32_t entry) {
  const std::size_t mask = places_.size() - 1;
  std::size_t at = home(entries_[static_cast<std::size_t>(entry)].key);
  while (places_[at] != kNone) at = (at + 1) & mask;
  places_[at] = entry;
}

/// Entries behind the gap move up when they were only there because their home was taken (Knuth, volume 3, 6.4, algorithm R).
void KeyTable::erase_place(std::int64_t key) {
  const std::size_t mask = places_.size() - 1;
  std::size_t gap = home(key);
  while (entries_[static_cast<std::size_t>(places_[gap])].key != key) gap = (gap + 1) & mask;
  for (std::size_t at = (gap + 1) & mask; places_[at] != kNone; at = (at + 1) & mask) {
    const std::size_t wanted = home(entries_[static_cast<std::size_t>(places_[at])].key);
    if (((at - wanted) & mask) < ((at - gap) & mask)) continue;
    places_[gap] = places_[at];
    gap = at;
  }
  places_[gap] = kNone;
}

void KeyTable::grow() {
  if (!places_.empty() && 2 * (static_cast<std::size_t>(size()) + 1) <= places_.size()) return;
  const std::size_t wanted = places_.empty() ? kFewestPlaces : 2 * places_.size();
  places_.assign(wanted, kNone);
  shift_ = 64 - std::countr_zero(wanted);
  for (std::int32_t entry = 0; entry < entry_limit(); ++entry) {
    if (used(entry)) insert_place(entry);
  }
}

std::int32_t KeyTable::add(const KeyEntry& content) {
  if (free_.empty()) {
    append(content);
    return entry_limit() - 1;
  }
  grow();
  const std::int32_t entry = free_.front();
  std::pop_heap(free_.begin(), free_.end(), std::greater<>{});
  free_.pop_back();
  entries_[static_cast<std::size_t>(entry)] = content;
  insert_place(entry);
  return entry;
}

void KeyTable::append(const KeyEntry& content) {
  if (content.last_step == 0) {
    free_.push_back(entry_limit());
    std::push_heap(free_.begin(), free_.end(), std::greater<>{});
    entries_.emplace_back();
    return;
  }
  grow();
  entries_.push_back(content);
  insert_place(entry_limit() - 1);
}

void KeyTable::replace(std::int32_t entry, const KeyEntry& content) {
  erase_place((*this)[entry].key);
  entries_[static_cast<std::size_t>(entry)] = content;
  insert_place(entry);
}

void KeyTable::remove(std::int32_t entry) {
  erase_place((*this)[entry].key);
  entries_[static_cast<std::size_t>(entry)] = {};
  free_.push_back(entry);
  std::push_heap(free_.begin(), free_.end(), std::greater<>{});
}

void KeyTable::set_use(std::int32_t entry, std::int64_t count, std::int64_t last_step) {
  entries_[static_cast<std::size_t>(entry)].count = count;
  entries_[static_cast<std::size_t>(entry)].last_step = last_step;
}

}  // namespace rechost
