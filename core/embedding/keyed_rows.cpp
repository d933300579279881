#include "embedding/keyed_rows.h"

#include <algorithm>

#include "base/error.h"

namespace rechost {

void RowChanges::clear() {
  admitted.clear();
  used.clear();
  no_longer_pending.clear();
  pending.clear();
  evicted = 0;
  ids = 0;
  unadmitted_ids = 0;
}

void KeyedRows::apply(const RowChanges& changes) {
  for (const RowChanges::Admission& admission : changes.admitted) {
    rows_.put(admission.row - Vocabulary::kFirstValueRow, {admission.key, 0, changes.step});
  }
  for (const RowChanges::Use& use : changes.used) rows_.set_use(use.row - Vocabulary::kFirstValueRow, use.count, changes.step);
  for (const std::int64_t key : changes.no_longer_pending) pending_.remove(pending_.find(key));
  for (const KeyEntry& entry : changes.pending) {
    const std::int32_t at = pending_.find(entry.key);
    if (at == KeyTable::kNone) {
      pending_.add(entry);
    } else {
      pending_.set_use(at, entry.count, entry.last_step);
    }
  }
  counters_.admissions += static_cast<std::int64_t>(changes.admitted.size());
  counters_.evictions += changes.evicted;
  counters_.ids += changes.ids;
  counters_.unadmitted_ids += changes.unadmitted_ids;
}

KeyArrays KeyedRows::row_arrays() const {
  KeyArrays arrays;
  for (std::int32_t entry = 0; entry < rows_.entry_limit(); ++entry) arrays.add(rows_[entry]);
  return arrays;
}

KeyArrays KeyedRows::pending_arrays() const {
  std::vector<KeyEntry> sorted;
  for (std::int32_t entry = 0; entry < pending_.entry_limit(); ++entry) {
    if (pending_.used(entry)) sorted.push_back(pending_[entry]);
  }
  std::sort(sorted.begin(), sorted.end(), [](const KeyEntry& left, const KeyEntry& right) { return left.key < right.key; });
  KeyArrays arrays;
  for (const KeyEntry& entry : sorted) arrays.add(entry);
  return arrays;
}

void KeyedRows::add_restored(KeyTable& to, const KeyArrays& from, std::int64_t most, const char* what) const {
  if (from.counts.size() != from.size() || from.last_steps.size() != from.size() || static_cast<std::int64_t>(from.size()) > most) {
    fail<DataError>("table \"{}\": {} {} keys, {} counts and {} steps, where at most {} of each fit", table_, from.size(), what, from.counts.size(),
                    from.last_steps.size(), most);
  }
  for (std::size_t i = 0; i < from.size(); ++i) {
    const KeyEntry entry = from[i];
    if (entry.count < 1 || entry.last_step < 1) {
      fail<DataError>("table \"{}\": {} key {} with count {} and last step {}; both must be at least 1", table_, what, entry.key, entry.count, entry.last_step);
    }
    if (to.find(entry.key) != KeyTable::kNone) fail<DataError>("table \"{}\": {} key {} is there twice", table_, what, entry.key);
    to.add(entry);
  }
}

void KeyedRows::restore(const KeyArrays& rows, const KeyArrays& pending, const Counters& counters) {
  KeyTable new_rows;
  KeyTable new_pending;
  add_restored(new_rows, rows, max_keys_, "admitted");
  add_restored(new_pending, pending, max_keys_, "pending");
  rows_ = std::move(new_rows);
  pending_ = std::move(new_pending);
  counters_ = counters;
}

}  // namespace rechost
