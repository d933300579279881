#include "embedding/eviction_order.h"

namespace rechost {

void EvictionOrder::append(std::int32_t entry, std::int64_t rank) {
  const auto at = static_cast<std::size_t>(entry);
  if (links_.size() <= at) links_.resize(at + 1);
  List& list = lists_[rank];
  links_[at] = {list.last, KeyTable::kNone, rank};
  if (list.last == KeyTable::kNone) {
    list.first = entry;
  } else {
    links_[static_cast<std::size_t>(list.last)].after = entry;
  }
  list.last = entry;
}

void EvictionOrder::remove(std::int32_t entry) {
  const Link link = links_[static_cast<std::size_t>(entry)];
  const auto found = lists_.find(link.rank);
  List& list = found->second;
  (link.before == KeyTable::kNone ? list.first : links_[static_cast<std::size_t>(link.before)].after) = link.after;
  (link.after == KeyTable::kNone ? list.last : links_[static_cast<std::size_t>(link.after)].before) = link.before;
  if (list.first == KeyTable::kNone) lists_.erase(found);
}

}  // namespace rechost
