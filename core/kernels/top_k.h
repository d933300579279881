#pragma once

#include <cstdint>
#include <span>

#include "base/thread_pool.h"

namespace rechost {

/// Row-major float32 vectors, [count, dim]. Borrowed.
struct VectorsView {
  const float* data = nullptr;
  std::int64_t count = 0;
  std::int64_t dim = 0;
};

/// A list of item numbers for each user: user u owns items[offsets[u] .. offsets[u + 1]). Borrowed; both empty: no lists.
struct ItemLists {
  std::span<const std::int64_t> offsets;  ///< [users + 1] or empty
  std::span<const std::int32_t> items;
};

/// For each user the k items with the highest dot product, best first, ties to the lower item number.
///
/// `excluded` lists, ascending per user, are left out (what the user has seen). Writes items [users, k] int32 and scores [users, k]; where
/// fewer than k items are left the rest is -1 and minus infinity. Items whose score is NaN or minus infinity are never chosen. Results
/// depend neither on the number of threads nor on how the work is cut. Throws Error when dims differ, an excluded list is out of order
/// or there are 2^31 items or more.
void top_k(const VectorsView& users, const VectorsView& items, std::int64_t k, const ItemLists& excluded, std::int32_t* top_items,
           float* top_scores, ThreadPool& pool);

/// Rank from 0 of each candidate among all items that are not excluded for its user: how many of them have a higher score, or an equal one
/// and a lower item number. `ranks` [candidates.items.size()]. A candidate may itself be excluded: it is then ranked against the others.
/// The scores are the very bits that top_k() compares. Throws as top_k(), and for a candidate that is no item.
void rank_of(const VectorsView& users, const VectorsView& items, const ItemLists& candidates, const ItemLists& excluded,
             std::int64_t* ranks, ThreadPool& pool);

/// The same in plain loops with double sums, one thread: what top_k() is tested against.
void top_k_reference(const VectorsView& users, const VectorsView& items, std::int64_t k, const ItemLists& excluded, std::int32_t* top_items,
                     float* top_scores);

}  // namespace rechost
