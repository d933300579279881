// Ids of users or items, numbered in the order in which they are first seen.
#ifndef RECHOST_RATINGS_ID_TABLE_H
#define RECHOST_RATINGS_ID_TABLE_H

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace ratings {

// Ids are kept as integers as long as each is written as one in the usual way ("17", not "017"), so that turning them back into text loses
// nothing: the first other id makes text of all of them, unless only integers are wanted.
class IdTable {
 public:
  enum class Kind { kAutomatic, kInteger, kText };

  explicit IdTable(Kind kind) : kind_(kind), is_text_(kind == Kind::kText) {}

  // The number of this id, new or known. -1 when only integers are wanted and it is none.
  std::int32_t number_of(std::string_view id);
  // The number of a known id, or -1.
  std::int32_t find(std::string_view id) const;

  bool is_text() const { return is_text_; }
  std::int64_t integer(std::int32_t number) const { return integers_[static_cast<std::size_t>(number)]; }
  std::string_view text(std::int32_t number) const { return texts_[static_cast<std::size_t>(number)]; }
  std::string written(std::int32_t number) const { return is_text_ ? std::string(text(number)) : std::to_string(integer(number)); }
  std::int32_t size() const { return static_cast<std::int32_t>(is_text_ ? texts_.size() : integers_.size()); }

 private:
  std::int32_t number_of_integer(std::int64_t id);
  std::int32_t number_of_text(std::string_view id);
  std::size_t slot_of(std::int64_t id) const;
  void grow();
  void become_text();

  Kind kind_;
  bool is_text_;
  std::vector<std::int64_t> integers_;
  std::vector<std::int32_t> slots_;  // open addressing over integers_; -1 = free
  std::deque<std::string> texts_;    // a deque, because the keys below point into it
  std::unordered_map<std::string_view, std::int32_t> numbers_;
};

}  // namespace ratings

#endif  // RECHOST_RATINGS_ID_TABLE_H
