#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/score_tile.h"
#include "kernels/top_k.h"

namespace rechost {

/// Throws Error unless the vectors and lists fit together: equal dims, fewer than 2^31 items, lists for every user, items that exist, and
/// ascending lists when `sorted`. `what` names the lists in messages.
void check_vectors(const VectorsView& users, const VectorsView& items);
void check_lists(const ItemLists& lists, const VectorsView& users, const VectorsView& items, bool sorted, const char* what);

inline std::span<const std::int32_t> list_of(const ItemLists& lists, std::int64_t user) {
  if (lists.offsets.empty()) return {};
  const auto begin = static_cast<std::size_t>(lists.offsets[static_cast<std::size_t>(user)]);
  const auto end = static_cast<std::size_t>(lists.offsets[static_cast<std::size_t>(user) + 1]);
  return lists.items.subspan(begin, end - begin);
}

/// Scores of a block of users against items, panel by panel: the users are packed once, a panel of items once for all of them.
class ScoreSweep {
 public:
  /// Packs users [begin, end).
  ScoreSweep(const ScoreTile& tile, const VectorsView& users, std::int64_t begin, std::int64_t end);

  /// Calls visit(user, item, count, scores, above) for each user of the block and each panel of `count` items from `item` on: scores[i] and
  /// bit i of `above` belong to item + i. `thresholds` has one float for each user of the block, and may change during the sweep.
  template <typename Visit>
  void run(const VectorsView& items, std::int64_t first_item, std::int64_t last_item, const float* thresholds, const Visit& visit) {
    for (std::int64_t item = first_item; item < last_item; item += tile_.items) {
      const std::int64_t count = std::min(tile_.items, last_item - item);
      pack(items.data + item * items.dim, nullptr, count, items.dim, tile_.items, panel_.data());
      const std::uint64_t present = count == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1;
      for (std::int64_t first = begin_; first < end_; first += tile_.users) {
        float tile_thresholds[kMostTileUsers] = {};
        const std::int64_t user_count = std::min(tile_.users, end_ - first);
        std::copy_n(thresholds + (first - begin_), user_count, tile_thresholds);
        tile_.run(packed_users(first), panel_.data(), items.dim, tile_thresholds, scores_, above_);
        for (std::int64_t u = 0; u < user_count; ++u) visit(first + u, item, count, scores_ + u * tile_.items, above_[u] & present);
      }
    }
  }

  /// Scores of one user of the block with `chosen` items; the bits that run() sees.
  void scores_of(const VectorsView& items, std::int64_t user, std::span<const std::int32_t> chosen, float* scores);

 private:
  /// to[d, i] = row i at d, for `rows` or the rows that `chosen` names; columns past `count` are zero.
  static void pack(const float* rows, const std::int32_t* chosen, std::int64_t count, std::int64_t dim, std::int64_t width, float* to);
  const float* packed_users(std::int64_t user) const {
    return users_.data() + static_cast<std::size_t>((user - begin_) / tile_.users * tile_.users * dim_);
  }

  const ScoreTile tile_;
  const std::int64_t dim_;
  const std::int64_t begin_;
  const std::int64_t end_;
  std::vector<float> users_;
  std::vector<float> panel_;
  float scores_[kMostTileUsers * kMostTileItems];
  std::uint64_t above_[kMostTileUsers];
};

}  // namespace rechost
