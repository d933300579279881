#include "kernels/top_k.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "base/error.h"
#include "device/instruction_set.h"
#include "kernels/score_sweep.h"

namespace rechost {
namespace {

struct Scored {
  float score = -std::numeric_limits<float>::infinity();
  std::int32_t item = -1;
};

bool better(const Scored& a, const Scored& b) { return a.score > b.score || (a.score == b.score && a.item < b.item); }

/// The best k of what it is shown, in items of ascending number.
class Selection {
 public:
  explicit Selection(std::int64_t k) : k_(static_cast<std::size_t>(k)) {}

  /// Only scores above this need be shown.
  float threshold() const { return threshold_; }

  void add(Scored candidate) {
    kept_.push_back(candidate);
    if (kept_.size() >= 2 * k_ + kSlack) prune();
  }

  /// The best, in order; fewer than k when fewer were shown.
  const std::vector<Scored>& finish() {
    if (kept_.size() > k_) prune();
    std::sort(kept_.begin(), kept_.end(), better);
    return kept_;
  }

 private:
  static constexpr std::size_t kSlack = 16;

  void prune() {
    const auto last = kept_.begin() + static_cast<std::ptrdiff_t>(k_) - 1;
    std::nth_element(kept_.begin(), last, kept_.end(), better);
    // A later item of equal score has a higher number, so it would lose: only higher scores matter from here on.
    threshold_ = last->score;
    kept_.resize(k_);
  }

  std::size_t k_;
  float threshold_ = -std::numeric_limits<float>::infinity();
  std::vector<Scored> kept_;
};

std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// Users of one block: their packed vectors fill half of a usual second-level cache, and every thread has some blocks.
std::int64_t users_per_block(const VectorsView& users, const ScoreTile& tile, const ThreadPool& pool) {
  constexpr std::int64_t kPackedFloats = 131072;
  const std::int64_t most = std::max(tile.users, kPackedFloats / std::max<std::int64_t>(1, users.dim) / tile.users * tile.users);
  const std::int64_t shared = divide_up(divide_up(users.count, 2 * pool.size()), tile.users) * tile.users;
  return std::clamp(shared, tile.users, most);
}

/// The best of items [first_item, last_item) for users [begin, end): lists[user - begin].
std::vector<Selection> select(const ScoreTile& tile, const VectorsView& users, std::int64_t begin, std::int64_t end,
                              const VectorsView& items, std::int64_t first_item, std::int64_t last_item, std::int64_t k,
                              const ItemLists& excluded) {
  std::vector<Selection> best(static_cast<std::size_t>(end - begin), Selection(k));
  std::vector<float> thresholds(static_cast<std::size_t>(end - begin), -std::numeric_limits<float>::infinity());
  ScoreSweep sweep(tile, users, begin, end);
  sweep.run(items, first_item, last_item, thresholds.data(),
            [&](std::int64_t user, std::int64_t item, std::int64_t, const float* scores, std::uint64_t above) {
              if (above == 0) return;
              Selection& selection = best[static_cast<std::size_t>(user - begin)];
              const std::span<const std::int32_t> left_out = list_of(excluded, user);
              for (; above != 0; above &= above - 1) {
                const int bit = __builtin_ctzll(above);
                const auto candidate = static_cast<std::int32_t>(item + bit);
                // The threshold may have risen since the tile was made.
                if (scores[bit] > selection.threshold() && !std::binary_search(left_out.begin(), left_out.end(), candidate)) {
                  selection.add({scores[bit], candidate});
                }
              }
              thresholds[static_cast<std::size_t>(user - begin)] = selection.threshold();
            });
  return best;
}

}  // namespace

void top_k(const VectorsView& users, const VectorsView& items, std::int64_t k, const ItemLists& excluded, std::int32_t* top_items,
           float* top_scores, ThreadPool& pool) {
  check_vectors(users, items);
  check_lists(excluded, users, items, true, "excluded items");
  if (k < 1 || users.count == 0) return;
  const ScoreTile tile = choose_twin(score_tile_baseline, score_tile_avx2, score_tile_avx512)();
  const std::int64_t per_block = users_per_block(users, tile, pool);
  const std::int64_t blocks = divide_up(users.count, per_block);
  // A few users are too little for many threads: cut the items as well, and merge.
  constexpr std::int64_t kFewestItems = 16384;
  const std::int64_t wanted = divide_up(2 * pool.size(), blocks);
  const std::int64_t ranges =
      pool.size() == 1 ? 1 : std::clamp<std::int64_t>(wanted, 1, std::max<std::int64_t>(1, items.count / kFewestItems));
  const std::int64_t items_per_range = divide_up(divide_up(items.count, ranges), tile.items) * tile.items;

  std::vector<std::vector<Selection>> best(static_cast<std::size_t>(blocks * ranges));
  pool.parallel_for(blocks * ranges, [&](std::int64_t index) {
    const std::int64_t begin = index / ranges * per_block;
    const std::int64_t first_item = index % ranges * items_per_range;
    best[static_cast<std::size_t>(index)] = select(tile, users, begin, std::min(users.count, begin + per_block), items, first_item,
                                                   std::min(items.count, first_item + items_per_range), k, excluded);
  });
  pool.parallel_for(blocks, [&](std::int64_t block) {
    const std::int64_t begin = block * per_block;
    std::vector<Scored> merged;
    for (std::int64_t user = begin; user < std::min(users.count, begin + per_block); ++user) {
      merged.clear();
      for (std::int64_t range = 0; range < ranges; ++range) {
        const std::vector<Scored>& list =
            best[static_cast<std::size_t>(block * ranges + range)][static_cast<std::size_t>(user - begin)].finish();
        merged.insert(merged.end(), list.begin(), list.end());
      }
      if (ranges > 1) std::sort(merged.begin(), merged.end(), better);
      merged.resize(static_cast<std::size_t>(k));
      for (std::int64_t i = 0; i < k; ++i) {
        top_items[user * k + i] = merged[static_cast<std::size_t>(i)].item;
        top_scores[user * k + i] = merged[static_cast<std::size_t>(i)].score;
      }
    }
  });
}

void rank_of(const VectorsView& users, const VectorsView& items, const ItemLists& candidates, const ItemLists& excluded,
             std::int64_t* ranks, ThreadPool& pool) {
  check_vectors(users, items);
  check_lists(candidates, users, items, false, "candidates");
  check_lists(excluded, users, items, true, "excluded items");
  if (candidates.items.empty()) return;
  const ScoreTile tile = choose_twin(score_tile_baseline, score_tile_avx2, score_tile_avx512)();
  const std::int64_t per_block = users_per_block(users, tile, pool);
  pool.parallel_for(divide_up(users.count, per_block), [&](std::int64_t block) {
    const std::int64_t begin = block * per_block;
    const std::int64_t end = std::min(users.count, begin + per_block);
    ScoreSweep sweep(tile, users, begin, end);
    const auto first_candidate = static_cast<std::size_t>(candidates.offsets[static_cast<std::size_t>(begin)]);
    const auto last_candidate = static_cast<std::size_t>(candidates.offsets[static_cast<std::size_t>(end)]);
    std::vector<Scored> of_candidates(last_candidate - first_candidate);
    std::vector<float> scores;
    for (std::int64_t user = begin; user < end; ++user) {
      const std::span<const std::int32_t> list = list_of(candidates, user);
      const auto offset = static_cast<std::size_t>(candidates.offsets[static_cast<std::size_t>(user)]);
      scores.resize(std::max(list.size(), list_of(excluded, user).size()));
      sweep.scores_of(items, user, list, scores.data());
      for (std::size_t i = 0; i < list.size(); ++i) {
        // A candidate without a score comes after every item that has one.
        const bool number = scores[i] == scores[i];
        of_candidates[offset - first_candidate + i] =
            number ? Scored{scores[i], list[i]} : Scored{-std::numeric_limits<float>::infinity(), std::numeric_limits<std::int32_t>::max()};
        ranks[offset + i] = 0;
      }
      // The sweep below counts excluded items too: take them off beforehand.
      const std::span<const std::int32_t> left_out = list_of(excluded, user);
      sweep.scores_of(items, user, left_out, scores.data());
      for (std::size_t e = 0; e < left_out.size(); ++e) {
        if (e > 0 && left_out[e] == left_out[e - 1]) continue;
        for (std::size_t i = 0; i < list.size(); ++i) {
          if (better({scores[e], left_out[e]}, of_candidates[offset - first_candidate + i])) --ranks[offset + i];
        }
      }
    }
    const std::vector<float> no_thresholds(static_cast<std::size_t>(end - begin));
    sweep.run(items, 0, items.count, no_thresholds.data(),
              [&](std::int64_t user, std::int64_t item, std::int64_t count, const float* panel_scores, std::uint64_t) {
                const auto list_begin = static_cast<std::size_t>(candidates.offsets[static_cast<std::size_t>(user)]);
                const auto list_end = static_cast<std::size_t>(candidates.offsets[static_cast<std::size_t>(user) + 1]);
                for (std::size_t c = list_begin; c < list_end; ++c) {
                  const Scored candidate = of_candidates[c - first_candidate];
                  std::int32_t ahead = 0;
                  const auto first = static_cast<std::int32_t>(item);
                  for (std::int32_t i = 0; i < static_cast<std::int32_t>(count); ++i) {
                    // Without short circuits, so that the compiler makes vectors of it.
                    const int higher = panel_scores[i] > candidate.score ? 1 : 0;
                    const int equal = panel_scores[i] == candidate.score ? 1 : 0;
                    const int lower_number = first + i < candidate.item ? 1 : 0;
                    ahead += higher | (equal & lower_number);
                  }
                  ranks[c] += ahead;
                }
              });
  });
}

}  // namespace rechost
