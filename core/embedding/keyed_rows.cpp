#include "embedding/keyed_rows.h"

#include <algorithm>

#include "base/error.h"

namespace rechost {
namespace {

/// How a row without a key is written down.
constexpr KeyEntry kFreeRow{kMissingKey, 0, 0};

}  // namespace

void RowChanges::clear() {
  expired.clear();
  admitted.clear();
  used.clear();
  no_longer_pending.clear();
  pending.clear();
  evicted = 0;
  ids = 0;
  unadmitted_ids = 0;
}

void KeyedRows::apply(const RowChanges& changes) {
  for (const std::int32_t row : changes.expired) rows_.remove(row - Vocabulary::kFirstValueRow);
  for (const RowChanges::Admission& admission : changes.admitted) {
    const std::int32_t at = admission.row - Vocabulary::kFirstValueRow;
    const KeyEntry entry{admission.key, 0, changes.step};
    if (has_key(admission.row)) {
      rows_.replace(at, entry);
    } else if (const std::int32_t free = rows_.add(entry); free != at) {
      fail<Error>("table \"{}\": row {} is given to a key, but {} is the first free one", table_, admission.row, free + Vocabulary::kFirstValueRow);
    }
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
  for (std::int32_t entry = 0; entry < rows_.entry_limit(); ++entry) arrays.add(rows_.used(entry) ? rows_[entry] : kFreeRow);
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

KeyTable KeyedRows::restored(const KeyArrays& from, bool with_free_rows, const char* what) const {
  if (from.counts.size() != from.size() || from.last_steps.size() != from.size() || static_cast<std::int64_t>(from.size()) > max_keys_) {
    fail<DataError>("table \"{}\": {} {} keys, {} counts and {} steps, where at most {} of each fit", table_, from.size(), what, from.counts.size(),
                    from.last_steps.size(), max_keys_);
  }
  KeyTable to;
  for (std::size_t i = 0; i < from.size(); ++i) {
    const KeyEntry entry = from[i];
    if (with_free_rows && entry == kFreeRow) {
      to.append(entry);
      continue;
    }
    if (entry.count < 1 || entry.last_step < 1) {
      fail<DataError>("table \"{}\": {} key {} with count {} and last step {}; both must be at least 1", table_, what, entry.key, entry.count, entry.last_step);
    }
    if (to.find(entry.key) != KeyTable::kNone) fail<DataError>("table \"{}\": {} key {} is there twice", table_, what, entry.key);
    to.append(entry);
  }
  return to;
}

void KeyedRows::restore(const KeyArrays& rows, const KeyArrays& pending, const Counters& counters) {
  KeyTable new_rows = restored(rows, true, "admitted");
  KeyTable new_pending = restored(pending, false, "pending");
  rows_ = std::move(new_rows);
  pending_ = std::move(new_pending);
  counters_ = counters;
}

}  // namespace rechost
