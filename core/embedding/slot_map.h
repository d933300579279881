#pragma once

#include <cstdint>
#include <span>

#include "embedding/eviction_order.h"
#include "embedding/keyed_rows.h"

namespace rechost {

/// Gives rows of a dynamic table to 64-bit keys, batch after batch in order of steps: admission, eviction, and the changes that each batch makes.
/// It runs ahead of the steps; a KeyedRows to which the changes are applied as steps begin says how things stand at a step. One thread at a
/// time. All of it is a function of settings, seed and batches.
///
/// admission  A key that has occurred in training `admit_after` times may have a row. With admit_probability < 1 each of its occurrences from then
///            on gets it one with that probability, a draw for each (seed, table, key, step). Until then it reads Vocabulary::kUnknownRow.
/// eviction   A full table gives a new key the row of another: the one not used for longest (age), or the one that has occurred least often, among
///            equals the one not used for longest (frequency). Keys of one step go in ascending order. A key of the batch itself stays.
/// pending    Counts of keys without a row are kept for at most max_keys keys; beyond, the one not seen for longest is forgotten.
/// age limit  With max_age_steps a key that so many steps in a row have not had is forgotten by the next one, pending or not; its row is free, and the
///            lowest free row goes first.
/// half life  With half_life_steps all counts halve at each multiple of it, rounded down when the key comes again. Eviction compares them unrounded,
///            those above 2^32 by their first 33 bits.
class SlotMap {
 public:
  struct Settings {
    std::int64_t admit_after = 1;
    double admit_probability = 1.0;
    EvictionRule evict = EvictionRule::kAge;
    std::int64_t max_age_steps = 0;    ///< 0: none
    std::int64_t half_life_steps = 0;  ///< 0: none
    std::uint64_t seed = 1;
  };

  /// Goes on from `start`.
  SlotMap(const Settings& settings, const KeyedRows& start);

  /// `keys`: the distinct ones of a batch, ascending; `counts` [keys]: how often each is in it; `rows` [keys]: the row that each reads. Throws
  /// DataError when the batch has more keys that need a row than there are rows; the map is of no use then.
  void assign(std::int64_t step, std::span<const std::int64_t> keys, std::span<const std::int64_t> counts, std::span<std::int32_t> rows,
              RowChanges& changes);

  const KeyedRows& state() const { return state_; }

 private:
  std::int64_t rank_of(const KeyEntry& entry) const;
  /// What is left at `step` of the count of an entry.
  std::int64_t count_at(const KeyEntry& entry, std::int64_t step) const;
  /// Whether age_order_ is kept beside row_order_.
  bool keeps_ages() const { return settings_.max_age_steps > 0 && settings_.evict == EvictionRule::kFrequency; }
  void order_row(std::int32_t entry);
  void unorder_row(std::int32_t entry);
  void forget_unseen(std::int64_t step, RowChanges& changes);
  bool drawn(std::int64_t key, std::int64_t step, std::int64_t times) const;
  /// Whether the key of this batch gets a row now; its count before and with this batch are told apart for that.
  bool admits(std::int64_t key, std::int64_t step, std::int64_t before, std::int64_t times) const;
  void keep_pending(const KeyEntry& entry, RowChanges& changes);
  std::int32_t take_row(std::int64_t step, const KeyEntry& entry, RowChanges& changes);

  Settings settings_;
  KeyedRows state_;
  EvictionOrder row_order_;      ///< entries of state_.rows_ that the batch in work does not have
  EvictionOrder age_order_;      ///< the same by age where row_order_ is another
  EvictionOrder pending_order_;  ///< the same of state_.pending_
  std::uint64_t draw_seed_ = 0;
  std::int64_t failed_step_ = 0;  ///< whose batch had too many keys; 0: none
};

}  // namespace rechost
