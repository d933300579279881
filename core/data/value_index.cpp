#include "data/value_index.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/error.h"

namespace rechost {
namespace {

constexpr std::size_t kSmallestSlots = 64;
constexpr std::size_t kMostValues = static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max()) - 16;
// Far enough ahead to hide a miss to memory behind the probes between, near enough that the line is still there when it is wanted.
constexpr std::size_t kLookAhead = 16;

void check_room(std::size_t values) {
  if (values >= kMostValues) {
    fail<DataError>("a table cannot have more than {} distinct values; use encoder = \"hash\" or max_rows for this feature", kMostValues);
  }
}

/// Slots for so many values: at most two thirds are taken, which keeps probes short.
std::size_t slots_for(std::size_t values) { return std::bit_ceil(std::max(kSmallestSlots, values * 3 / 2 + 1)); }

/// Of an array that moves to twice the room when it is full: both are there then.
template <typename Element>
std::uint64_t bytes_with(const std::vector<Element>& array, std::size_t wanted) {
  const std::size_t room = array.capacity();
  return (wanted <= room ? room : room + std::max(wanted, 2 * room)) * sizeof(Element);
}

}  // namespace

std::size_t IntegerIndex::home(std::int64_t value) const {
  auto z = static_cast<std::uint64_t>(value);
  z ^= z >> 32;  // values that differ in high bits only must not share a home
  return static_cast<std::size_t>((z * 0x9E3779B97F4A7C15ull) >> shift_);
}

std::int32_t IntegerIndex::find(std::int64_t value) const {
  if (slots_.empty()) return -1;
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t at = home(value);; at = (at + 1) & mask) {
    const Slot& slot = slots_[at];
    if (slot.number < 0 || slot.value == value) return slot.number;
  }
}

std::int32_t IntegerIndex::insert(std::int64_t value) {
  // At most two thirds full: probes stay short.
  if (3 * (values_.size() + 1) > 2 * slots_.size()) grow(std::max(kSmallestSlots, 2 * slots_.size()));
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t at = home(value);; at = (at + 1) & mask) {
    Slot& slot = slots_[at];
    if (slot.number >= 0 && slot.value == value) return slot.number;
    if (slot.number < 0) {
      check_room(values_.size());
      slot = {value, static_cast<std::int32_t>(values_.size())};
      values_.push_back(value);
      return slot.number;
    }
  }
}

void IntegerIndex::find_all(std::span<const std::int64_t> values, std::int32_t* numbers) const {
  if (slots_.empty()) {
    std::fill_n(numbers, values.size(), -1);
    return;
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i + kLookAhead < values.size()) __builtin_prefetch(&slots_[home(values[i + kLookAhead])]);
    numbers[i] = find(values[i]);
  }
}

void IntegerIndex::insert_all(std::span<const std::int64_t> values, std::int32_t* numbers) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i + kLookAhead < values.size() && !slots_.empty()) __builtin_prefetch(&slots_[home(values[i + kLookAhead])], 1);
    numbers[i] = insert(values[i]);
  }
}

void IntegerIndex::reserve(std::int64_t count) {
  const std::size_t slots = slots_for(static_cast<std::size_t>(count));
  if (slots > slots_.size()) grow(slots);
  values_.reserve(static_cast<std::size_t>(count));
}

std::uint64_t IntegerIndex::memory_bytes_with(std::int64_t more) const {
  const std::size_t count = values_.size() + static_cast<std::size_t>(more);
  return bytes_with(slots_, std::max(slots_.size(), slots_for(count))) + bytes_with(values_, count);
}

void IntegerIndex::clear() {
  std::fill(slots_.begin(), slots_.end(), Slot{0, -1});
  values_.clear();
}

void IntegerIndex::grow(std::size_t slots) {
  slots_.assign(slots, Slot{0, -1});
  shift_ = 64 - std::countr_zero(slots);
  const std::size_t mask = slots - 1;
  for (std::size_t number = 0; number < values_.size(); ++number) {
    std::size_t at = home(values_[number]);
    while (slots_[at].number >= 0) at = (at + 1) & mask;
    slots_[at] = {values_[number], static_cast<std::int32_t>(number)};
  }
}

std::string_view StringIndex::value(std::int32_t number) const {
  const auto at = static_cast<std::size_t>(number);
  const std::uint64_t begin = at == 0 ? 0 : ends_[at - 1];
  return {characters_.data() + begin, static_cast<std::size_t>(ends_[at] - begin)};
}

StringIndex::Key StringIndex::key_of(std::string_view value) {
  Key key{0, static_cast<std::uint32_t>(value.size())};
  switch (value.size()) {
    case 8:
      std::memcpy(&key.bits, value.data(), 8);
      break;
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
    case 5:
    case 6:
    case 7:
      for (std::size_t i = 0; i < value.size(); ++i) key.bits |= std::uint64_t{static_cast<unsigned char>(value[i])} << (8 * i);
      break;
    default:
      key.bits = XXH3_64bits(value.data(), value.size());
  }
  return key;
}

std::size_t StringIndex::home(const Key& key) const {
  // Digits and letters differ in few bits of each byte: mixed twice, so that all of them reach the upper ones.
  std::uint64_t z = (key.bits ^ key.length) * 0x9E3779B97F4A7C15ull;
  z ^= z >> 32;
  return static_cast<std::size_t>((z * 0xD6E8FEB86659FD93ull) >> shift_);
}

std::int32_t StringIndex::find(const Key& key, std::string_view value) const {
  const Slot* const slots = slots_.data();
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t at = home(key);; at = (at + 1) & mask) {
    const Slot& slot = slots[at];
    if (slot.number < 0) return -1;
    if (slot.key() == key && (key.length <= sizeof key.bits || this->value(slot.number) == value)) return slot.number;
  }
}

std::int32_t StringIndex::insert(const Key& key, std::string_view value) {
  if (3 * (ends_.size() + 1) > 2 * slots_.size()) grow(std::max(kSmallestSlots, 2 * slots_.size()));
  Slot* const slots = slots_.data();
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t at = home(key);; at = (at + 1) & mask) {
    Slot& slot = slots[at];
    if (slot.number >= 0) {
      if (slot.key() == key && (key.length <= sizeof key.bits || this->value(slot.number) == value)) return slot.number;
      continue;
    }
    check_room(ends_.size());
    slot = {key.bits, key.length, static_cast<std::int32_t>(ends_.size())};
    characters_.insert(characters_.end(), value.begin(), value.end());
    ends_.push_back(characters_.size());
    return slot.number;
  }
}

std::uint64_t StringIndex::memory_bytes_with(std::int64_t more, std::uint64_t characters) const {
  const std::size_t count = ends_.size() + static_cast<std::size_t>(more);
  return bytes_with(slots_, std::max(slots_.size(), slots_for(count))) + bytes_with(ends_, count) +
         bytes_with(characters_, characters_.size() + static_cast<std::size_t>(characters));
}

std::int32_t StringIndex::find(std::string_view value) const { return slots_.empty() ? -1 : find(key_of(value), value); }

std::int32_t StringIndex::insert(std::string_view value) { return insert(key_of(value), value); }

void StringIndex::find_all(std::span<const std::string_view> values, std::int32_t* numbers) const {
  if (slots_.empty()) {
    std::fill_n(numbers, values.size(), -1);
    return;
  }
  const std::string_view* const value = values.data();
  Key ahead[kLookAhead];
  for (std::size_t i = 0; i < values.size() + kLookAhead; ++i) {
    Key& key = ahead[i % kLookAhead];
    if (i >= kLookAhead) numbers[i - kLookAhead] = find(key, value[i - kLookAhead]);
    if (i >= values.size()) continue;
    key = key_of(value[i]);
    __builtin_prefetch(&slots_[home(key)]);
  }
}

void StringIndex::insert_all(std::span<const std::string_view> values, std::int32_t* numbers) {
  const std::string_view* const value = values.data();
  Key ahead[kLookAhead];
  for (std::size_t i = 0; i < values.size() + kLookAhead; ++i) {
    Key& key = ahead[i % kLookAhead];
    if (i >= kLookAhead) numbers[i - kLookAhead] = insert(key, value[i - kLookAhead]);
    if (i >= values.size()) continue;
    key = key_of(value[i]);
    if (!slots_.empty()) __builtin_prefetch(&slots_[home(key)], 1);
  }
}

void StringIndex::clear() {
  std::fill(slots_.begin(), slots_.end(), Slot{0, 0, -1});
  characters_.clear();
  ends_.clear();
}

void StringIndex::grow(std::size_t slots) {
  std::vector<Slot> former(slots, Slot{0, 0, -1});
  former.swap(slots_);
  shift_ = 64 - std::countr_zero(slots);
  const std::size_t mask = slots - 1;
  for (const Slot& slot : former) {
    if (slot.number < 0) continue;
    std::size_t at = home(slot.key());
    while (slots_[at].number >= 0) at = (at + 1) & mask;
    slots_[at] = slot;
  }
}

}  // namespace rechost
