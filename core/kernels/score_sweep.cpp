#include "kernels/score_sweep.h"

#include <limits>

#include "base/error.h"

namespace rechost {

void check_vectors(const VectorsView& users, const VectorsView& items) {
  if (users.dim != items.dim) fail<Error>("users have dim {}, items {}", users.dim, items.dim);
  if (items.count > std::numeric_limits<std::int32_t>::max()) fail<Error>("{} items are more than 2^31 - 1", items.count);
}

void check_lists(const ItemLists& lists, const VectorsView& users, const VectorsView& items, bool sorted, const char* what) {
  if (lists.offsets.empty()) return;
  if (static_cast<std::int64_t>(lists.offsets.size()) != users.count + 1 || lists.offsets.front() != 0 ||
      lists.offsets.back() != static_cast<std::int64_t>(lists.items.size()) ||
      !std::is_sorted(lists.offsets.begin(), lists.offsets.end())) {
    fail<Error>("{}: offsets must be {} rising numbers from 0 to {}", what, users.count + 1, lists.items.size());
  }
  for (const std::int32_t item : lists.items) {
    if (item < 0 || item >= items.count) fail<Error>("{}: item {} is not among the {} items", what, item, items.count);
  }
  if (!sorted) return;
  for (std::int64_t user = 0; user < users.count; ++user) {
    const std::span<const std::int32_t> list = list_of(lists, user);
    if (!std::is_sorted(list.begin(), list.end())) fail<Error>("{}: the list of user {} is not ascending", what, user);
  }
}

ScoreSweep::ScoreSweep(const ScoreTile& tile, const VectorsView& users, std::int64_t begin, std::int64_t end)
    : tile_(tile),
      dim_(users.dim),
      begin_(begin),
      end_(end),
      users_(static_cast<std::size_t>((end - begin + tile.users - 1) / tile.users * tile.users * users.dim)),
      panel_(static_cast<std::size_t>(tile.items * users.dim)) {
  for (std::int64_t user = begin; user < end; user += tile.users) {
    pack(users.data + user * dim_, nullptr, std::min(tile.users, end - user), dim_, tile.users,
         users_.data() + static_cast<std::size_t>((user - begin) * dim_));
  }
}

void ScoreSweep::pack(const float* rows, const std::int32_t* chosen, std::int64_t count, std::int64_t dim, std::int64_t width, float* to) {
  // A few dimensions at a time, so that the lines written stay in the first-level cache until they are full.
  constexpr std::int64_t kDimsAtOnce = 16;
  for (std::int64_t first = 0; first < dim; first += kDimsAtOnce) {
    const std::int64_t last = std::min(dim, first + kDimsAtOnce);
    for (std::int64_t i = 0; i < count; ++i) {
      const float* row = rows + (chosen == nullptr ? i : chosen[i]) * dim;
      for (std::int64_t d = first; d < last; ++d) to[d * width + i] = row[d];
    }
    for (std::int64_t d = first; d < last; ++d) std::fill(to + d * width + count, to + (d + 1) * width, 0.0f);
  }
}

void ScoreSweep::scores_of(const VectorsView& items, std::int64_t user, std::span<const std::int32_t> chosen, float* scores) {
  const float no_thresholds[kMostTileUsers] = {};
  const std::int64_t in_tile = (user - begin_) % tile_.users;
  const auto total = static_cast<std::int64_t>(chosen.size());
  for (std::int64_t first = 0; first < total; first += tile_.items) {
    const std::int64_t count = std::min(tile_.items, total - first);
    pack(items.data, chosen.data() + first, count, dim_, tile_.items, panel_.data());
    tile_.run(packed_users(user), panel_.data(), dim_, no_thresholds, scores_, above_);
    std::copy_n(scores_ + in_tile * tile_.items, count, scores + first);
  }
}

}  // namespace rechost
