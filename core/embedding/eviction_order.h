#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "embedding/key_table.h"

namespace rechost {

/// Which entry goes first: that of the lowest rank, among equals the one appended first. With one rank for all that is the order of age. Each
/// operation takes constant time, and a search among the ranks that occur.
class EvictionOrder {
 public:
  /// An entry that is not in it.
  void append(std::int32_t entry, std::int64_t rank);
  void remove(std::int32_t entry);
  /// KeyTable::kNone when it is empty.
  std::int32_t first() const { return lists_.empty() ? KeyTable::kNone : lists_.begin()->second.first; }

 private:
  struct Link {
    std::int32_t before = KeyTable::kNone;
    std::int32_t after = KeyTable::kNone;
    std::int64_t rank = 0;
  };
  struct List {
    std::int32_t first = KeyTable::kNone;
    std::int32_t last = KeyTable::kNone;
  };

  std::vector<Link> links_;            ///< by entry
  std::map<std::int64_t, List> lists_;  ///< by rank; none is empty
};

}  // namespace rechost
