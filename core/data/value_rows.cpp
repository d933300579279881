#include "data/value_rows.h"

#include <bit>
#include <limits>
#include <utility>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace rechost {
namespace {

constexpr std::size_t kLookAhead = 12;  // as in value_index.cpp

std::uint64_t hash_of(std::int64_t value) {
  auto z = static_cast<std::uint64_t>(value);
  z = (z ^ (z >> 32)) * 0x9E3779B97F4A7C15ull;  // values that differ in high bits only must not share a home
  return z ^ (z >> 32);                         // the tag is cut from low bits, which a product alone does not mix
}

std::uint64_t hash_of(std::string_view value) { return XXH3_64bits(value.data(), value.size()); }

}  // namespace

NumberSlots::NumberSlots(std::size_t count) {
  if (count > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max()) - 16) {
    fail<DataError>("a table cannot have {} distinct values, 2^31 is too many; use encoder = \"hash\" or max_rows for this feature", count);
  }
  if (count == 0) return;
  slot_count_ = count + count / 2 + 1;
  number_mask_ = static_cast<std::uint32_t>((std::uint64_t{1} << std::bit_width(count)) - 1);
  memory_ = PageMemory(slot_count_ * sizeof(std::uint32_t));
}

void NumberSlots::add(std::uint64_t hash, std::int32_t number) {
  std::size_t at = home(hash);
  while (slots()[at] != 0) at = at + 1 == slot_count_ ? 0 : at + 1;
  slots()[at] = tag_of(hash) | (static_cast<std::uint32_t>(number) + 1);
}

IntegerRows::IntegerRows(std::vector<std::int64_t> values, std::size_t compact_from) {
  if (values.size() < compact_from) {
    index_.reserve(static_cast<std::int64_t>(values.size()));
    for (std::size_t n = 0; n < values.size(); ++n) {
      if (index_.insert(values[n]) != static_cast<std::int32_t>(n)) throw RepeatedValue(std::to_string(values[n]), n);
    }
    return;
  }
  values_ = std::move(values);
  slots_ = NumberSlots(values_.size());
  for (std::size_t n = 0; n < values_.size(); ++n) {
    if (n + kLookAhead < values_.size()) slots_.prefetch(hash_of(values_[n + kLookAhead]));
    if (find_compact(values_[n]) >= 0) throw RepeatedValue(std::to_string(values_[n]), n);
    slots_.add(hash_of(values_[n]), static_cast<std::int32_t>(n));
  }
}

std::int32_t IntegerRows::find(std::int64_t value) const { return values_.empty() ? index_.find(value) : find_compact(value); }

std::int32_t IntegerRows::find_compact(std::int64_t value) const {
  return slots_.find(hash_of(value), [&](std::int32_t number) { return values_[static_cast<std::size_t>(number)] == value; });
}

void IntegerRows::find_all(std::span<const std::int64_t> values, std::int32_t* numbers) const {
  if (values_.empty()) {
    index_.find_all(values, numbers);
    return;
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i + kLookAhead < values.size()) slots_.prefetch(hash_of(values[i + kLookAhead]));
    numbers[i] = find_compact(values[i]);
  }
}

StringRows::StringRows(std::vector<char> characters, std::vector<std::uint64_t> ends, std::size_t compact_from) {
  const bool compact = ends.size() >= compact_from;
  std::uint64_t begin = 0;
  for (std::size_t n = 0; n < ends.size() && !compact; ++n) {
    const std::string_view text(characters.data() + begin, static_cast<std::size_t>(ends[n] - begin));
    if (index_.insert(text) != static_cast<std::int32_t>(n)) throw RepeatedValue(fmt::format("\"{}\"", text), n);
    begin = ends[n];
  }
  if (!compact) return;
  characters_ = std::move(characters);
  ends_ = std::move(ends);
  slots_ = NumberSlots(ends_.size());
  for (std::size_t n = 0; n < ends_.size(); ++n) {
    const std::string_view text = compact_value(static_cast<std::int32_t>(n));
    if (find(text) >= 0) throw RepeatedValue(fmt::format("\"{}\"", text), n);
    slots_.add(hash_of(text), static_cast<std::int32_t>(n));
  }
}

std::string_view StringRows::compact_value(std::int32_t number) const {
  const auto at = static_cast<std::size_t>(number);
  const std::uint64_t begin = at == 0 ? 0 : ends_[at - 1];
  return {characters_.data() + begin, static_cast<std::size_t>(ends_[at] - begin)};
}

std::int32_t StringRows::find(std::string_view value) const {
  if (ends_.empty()) return index_.find(value);
  return slots_.find(hash_of(value), [&](std::int32_t number) { return compact_value(number) == value; });
}

void StringRows::find_all(std::span<const std::string_view> values, std::int32_t* numbers) const {
  if (ends_.empty()) return index_.find_all(values, numbers);
  const std::string_view* const value = values.data();
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i + kLookAhead < values.size()) slots_.prefetch(hash_of(value[i + kLookAhead]));
    numbers[i] = find(value[i]);
  }
}

}  // namespace rechost
