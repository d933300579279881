// Which interaction belongs to which split, and what came before it.
#ifndef RECHOST_RATINGS_SPLITS_H
#define RECHOST_RATINGS_SPLITS_H

#include <cstdint>
#include <vector>

#include "interactions.h"

namespace ratings {

// Interactions of each user, one user after the other, in the order in which they happened: by time where it is known, then training before
// validation before test where the files say so, then by place in the file.
struct UserOrder {
  std::vector<std::uint32_t> sequence;  // [interactions] positions in Interactions
  std::vector<std::uint32_t> place;     // [interactions] the inverse of `sequence`
  std::vector<std::uint32_t> begin;     // [users + 1] where each user's run begins in `sequence`
};

UserOrder order_by_user(const Interactions& interactions);

// The last interaction of each user becomes test and, if `with_valid`, the one before it validation. A user keeps at least one for
// training.
void split_leave_one_out(Interactions& interactions, const UserOrder& order, bool with_valid);

struct Ratios {
  double valid = 0, test = 0;
  std::uint64_t seed = 0;
  bool per_user = true;  // of each user's interactions; else of all, each drawn for itself
};

// At random, by a hash of seed, user and item: the same interactions fall to the same split however the file is sorted.
void split_by_ratio(Interactions& interactions, const UserOrder& order, const Ratios& ratios);

// Items of up to `longest` training interactions of the same user before this one, oldest first. Never the item of the interaction itself.
void history_of(const Interactions& interactions, const UserOrder& order, std::size_t interaction, std::size_t longest,
                std::vector<std::int32_t>& items);

}  // namespace ratings

#endif  // RECHOST_RATINGS_SPLITS_H
