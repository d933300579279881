#include "embedding/slot_map.h"

#include <algorithm>
#include <bit>
#include <vector>

#include "base/error.h"
#include "base/philox.h"

namespace rechost {
namespace {

constexpr std::uint64_t kDrawPurpose = 0x61646d6974;  // "admit": a stream of its own

/// Powers by squaring: std::pow need not give the same bits everywhere.
double power(double base, std::int64_t exponent) {
  double result = 1.0;
  for (; exponent > 0; exponent >>= 1, base *= base) {
    if (exponent & 1) result *= base;
  }
  return result;
}

/// In the order in which assign() would have appended them.
template <typename Append>
void append_all(const KeyTable& table, const Append& append) {
  std::vector<std::int32_t> entries;
  for (std::int32_t entry = 0; entry < table.entry_limit(); ++entry) {
    if (table.used(entry)) entries.push_back(entry);
  }
  std::sort(entries.begin(), entries.end(), [&table](std::int32_t left, std::int32_t right) {
    const KeyEntry& a = table[left];
    const KeyEntry& b = table[right];
    return a.last_step != b.last_step ? a.last_step < b.last_step : a.key < b.key;
  });
  for (const std::int32_t entry : entries) append(entry);
}

}  // namespace

SlotMap::SlotMap(const Settings& settings, const KeyedRows& start)
    : settings_(settings), state_(start), draw_seed_(derive_seed(derive_seed(settings.seed, name_seed(start.table())), kDrawPurpose)) {
  append_all(state_.rows_, [this](std::int32_t entry) { order_row(entry); });
  append_all(state_.pending_, [this](std::int32_t entry) { pending_order_.append(entry, 0); });
}

std::int64_t SlotMap::count_at(const KeyEntry& entry, std::int64_t step) const {
  if (settings_.half_life_steps == 0) return entry.count;
  const std::int64_t halvings = step / settings_.half_life_steps - entry.last_step / settings_.half_life_steps;
  return halvings < 63 ? entry.count >> halvings : 0;
}

/// With a half life: the logarithm to base 2 of the count as if it had halved backwards to the first step, in units of 2^-32 and with its fraction
/// replaced by what follows the count's first bit, which goes up alike. It stays the same while counts halve, so that nobody has to touch all of them.
std::int64_t SlotMap::rank_of(const KeyEntry& entry) const {
  if (settings_.evict == EvictionRule::kAge) return 0;
  if (settings_.half_life_steps == 0) return entry.count;
  const auto count = static_cast<std::uint64_t>(entry.count);
  const int width = static_cast<int>(std::bit_width(count));
  const auto fraction = static_cast<std::int64_t>((count << (64 - width)) << 1 >> 32);
  return (entry.last_step / settings_.half_life_steps + width) << 32 | fraction;
}

void SlotMap::order_row(std::int32_t entry) {
  row_order_.append(entry, rank_of(state_.rows_[entry]));
  if (keeps_ages()) age_order_.append(entry, 0);
}

void SlotMap::unorder_row(std::int32_t entry) {
  row_order_.remove(entry);
  if (keeps_ages()) age_order_.remove(entry);
}

void SlotMap::forget_unseen(std::int64_t step, RowChanges& changes) {
  if (settings_.max_age_steps == 0) return;
  const std::int64_t oldest = step - settings_.max_age_steps;
  const EvictionOrder& ages = keeps_ages() ? age_order_ : row_order_;
  for (std::int32_t entry = ages.first(); entry != KeyTable::kNone && state_.rows_[entry].last_step < oldest; entry = ages.first()) {
    unorder_row(entry);
    state_.rows_.remove(entry);
    changes.expired.push_back(entry + Vocabulary::kFirstValueRow);
    ++changes.evicted;
  }
  KeyTable& pending = state_.pending_;
  for (std::int32_t entry = pending_order_.first(); entry != KeyTable::kNone && pending[entry].last_step < oldest; entry = pending_order_.first()) {
    changes.no_longer_pending.push_back(pending[entry].key);
    pending_order_.remove(entry);
    pending.remove(entry);
  }
}

bool SlotMap::drawn(std::int64_t key, std::int64_t step, std::int64_t times) const {
  const std::uint64_t word = Philox(draw_seed_).word64(static_cast<std::uint64_t>(key), static_cast<std::uint64_t>(step));
  return uniform_double(word) < 1.0 - power(1.0 - settings_.admit_probability, times);
}

bool SlotMap::admits(std::int64_t key, std::int64_t step, std::int64_t before, std::int64_t times) const {
  if (before + times < settings_.admit_after) return false;
  if (settings_.admit_probability >= 1.0) return true;
  return drawn(key, step, std::min(times, before + times - settings_.admit_after + 1));
}

void SlotMap::keep_pending(const KeyEntry& entry, RowChanges& changes) {
  if (state_.pending_.size() >= state_.max_keys()) {
    const std::int32_t oldest = pending_order_.first();
    if (oldest == KeyTable::kNone) return;  // all are of this batch
    changes.no_longer_pending.push_back(state_.pending_[oldest].key);
    pending_order_.remove(oldest);
    state_.pending_.remove(oldest);
  }
  state_.pending_.add(entry);
  changes.pending.push_back(entry);
}

std::int32_t SlotMap::take_row(std::int64_t step, const KeyEntry& entry, RowChanges& changes) {
  std::int32_t at = KeyTable::kNone;
  if (state_.keys() < state_.max_keys()) {
    at = state_.rows_.add(entry);
  } else {
    at = row_order_.first();
    if (at == KeyTable::kNone) {
      failed_step_ = step;
      fail<DataError>("step {}: the batch has more keys with a row in table \"{}\" than the {} that fit it: raise max_rows, or lower data.batch_size", step,
                      state_.table(), state_.max_keys());
    }
    unorder_row(at);
    state_.rows_.replace(at, entry);
    ++changes.evicted;
  }
  const std::int32_t row = at + Vocabulary::kFirstValueRow;
  changes.admitted.push_back({row, entry.key});
  return row;
}

void SlotMap::assign(std::int64_t step, std::span<const std::int64_t> keys, std::span<const std::int64_t> counts, std::span<std::int32_t> rows,
                     RowChanges& changes) {
  // Batches behind one that failed are prepared already; nobody will get them.
  if (failed_step_ != 0) fail<DataError>("step {}: rows of table \"{}\" could not be given in step {}", step, state_.table(), failed_step_);
  changes.clear();
  changes.step = step;
  KeyTable& table = state_.rows_;
  KeyTable& pending = state_.pending_;
  forget_unseen(step, changes);
  // What the batch has leaves the orders first, so that nothing of it is evicted by it.
  std::vector<std::int32_t> waiting(keys.size(), KeyTable::kNone);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const std::int32_t entry = table.find(keys[i]);
    rows[i] = Vocabulary::kUnknownRow;
    if (entry != KeyTable::kNone) {
      unorder_row(entry);
      table.set_use(entry, count_at(table[entry], step) + counts[i], step);
      rows[i] = entry + Vocabulary::kFirstValueRow;
    } else if (settings_.admit_after > 1) {
      waiting[i] = pending.find(keys[i]);
      if (waiting[i] != KeyTable::kNone) pending_order_.remove(waiting[i]);
    }
    changes.ids += counts[i];
  }
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (rows[i] != Vocabulary::kUnknownRow) continue;
    const std::int32_t at = waiting[i];
    const std::int64_t before = at == KeyTable::kNone ? 0 : count_at(pending[at], step);
    const KeyEntry entry{keys[i], before + counts[i], step};
    if (admits(keys[i], step, before, counts[i])) {
      if (at != KeyTable::kNone) {
        changes.no_longer_pending.push_back(keys[i]);
        pending.remove(at);
      }
      rows[i] = take_row(step, entry, changes);
      continue;
    }
    changes.unadmitted_ids += counts[i];
    if (settings_.admit_after <= 1) continue;  // nothing has to be counted
    if (at == KeyTable::kNone) {
      keep_pending(entry, changes);
    } else {
      pending.set_use(at, entry.count, step);
      changes.pending.push_back(entry);
    }
  }
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (rows[i] == Vocabulary::kUnknownRow) continue;
    const std::int32_t entry = rows[i] - Vocabulary::kFirstValueRow;
    order_row(entry);
    changes.used.push_back({rows[i], table[entry].count});
  }
  for (const KeyEntry& entry : changes.pending) pending_order_.append(pending.find(entry.key), 0);
  state_.counters_.admissions += static_cast<std::int64_t>(changes.admitted.size());
  state_.counters_.evictions += changes.evicted;
  state_.counters_.ids += changes.ids;
  state_.counters_.unadmitted_ids += changes.unadmitted_ids;
}

}  // namespace rechost
