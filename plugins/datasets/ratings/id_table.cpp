#include "id_table.h"

#include <charconv>
#include <limits>

#include "rechost/cxx/plugin.hpp"

namespace ratings {
namespace {

// Written as std::to_string would: no sign but minus, no leading zero.
bool parse_plain_integer(std::string_view text, std::int64_t& value) {
  const std::string_view digits = text.starts_with('-') ? text.substr(1) : text;
  if (digits.empty() || (digits[0] == '0' && text.size() > 1)) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

void check_room(std::size_t size) {
  if (size >= static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max()))
    throw rechost::DataError("more than 2^31 different ids: this loader numbers them with 32 bits");
}

}  // namespace

std::int32_t IdTable::number_of(std::string_view id) {
  if (is_text_) return number_of_text(id);
  std::int64_t value;
  if (parse_plain_integer(id, value)) return number_of_integer(value);
  if (kind_ == Kind::kInteger) return -1;
  become_text();
  return number_of_text(id);
}

std::int32_t IdTable::find(std::string_view id) const {
  if (is_text_) {
    const auto found = numbers_.find(id);
    return found == numbers_.end() ? -1 : found->second;
  }
  std::int64_t value;
  if (slots_.empty() || !parse_plain_integer(id, value)) return -1;
  return slots_[slot_of(value)];
}

std::int32_t IdTable::number_of_integer(std::int64_t id) {
  // At most half full, so that searches stay short.
  if (slots_.size() <= 2 * integers_.size()) grow();
  std::int32_t& slot = slots_[slot_of(id)];
  if (slot < 0) {
    check_room(integers_.size());
    slot = static_cast<std::int32_t>(integers_.size());
    integers_.push_back(id);
  }
  return slot;
}

std::int32_t IdTable::number_of_text(std::string_view id) {
  if (const auto found = numbers_.find(id); found != numbers_.end()) return found->second;
  check_room(texts_.size());
  const auto number = static_cast<std::int32_t>(texts_.size());
  numbers_.emplace(texts_.emplace_back(id), number);
  return number;
}

// Where this id is, or would be put.
std::size_t IdTable::slot_of(std::int64_t id) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = static_cast<std::size_t>((static_cast<std::uint64_t>(id) * 0x9e3779b97f4a7c15ull) >> 20) & mask;
  while (slots_[slot] >= 0 && integers_[static_cast<std::size_t>(slots_[slot])] != id) slot = (slot + 1) & mask;
  return slot;
}

void IdTable::grow() {
  slots_.assign(slots_.empty() ? 1024 : 2 * slots_.size(), -1);
  for (std::size_t number = 0; number < integers_.size(); ++number) slots_[slot_of(integers_[number])] = static_cast<std::int32_t>(number);
}

void IdTable::become_text() {
  is_text_ = true;
  for (const std::int64_t id : integers_) number_of_text(std::to_string(id));
  integers_ = {};
  slots_ = {};
}

}  // namespace ratings
