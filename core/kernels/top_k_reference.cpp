#include <algorithm>
#include <limits>
#include <vector>

#include "kernels/score_sweep.h"
#include "kernels/top_k.h"

namespace rechost {

void top_k_reference(const VectorsView& users, const VectorsView& items, std::int64_t k, const ItemLists& excluded, std::int32_t* top_items,
                     float* top_scores) {
  for (std::int64_t user = 0; user < users.count; ++user) {
    const std::span<const std::int32_t> left_out = list_of(excluded, user);
    std::vector<std::pair<double, std::int32_t>> scored;  // minus the score, so that the usual order of pairs is ours
    for (std::int64_t item = 0; item < items.count; ++item) {
      if (std::find(left_out.begin(), left_out.end(), item) != left_out.end()) continue;
      double score = 0.0;
      for (std::int64_t d = 0; d < users.dim; ++d) {
        score += static_cast<double>(users.data[user * users.dim + d]) * items.data[item * items.dim + d];
      }
      scored.emplace_back(-score, static_cast<std::int32_t>(item));
    }
    std::sort(scored.begin(), scored.end());
    for (std::int64_t i = 0; i < k; ++i) {
      const bool present = i < static_cast<std::int64_t>(scored.size());
      top_items[user * k + i] = present ? scored[static_cast<std::size_t>(i)].second : -1;
      top_scores[user * k + i] =
          present ? static_cast<float>(-scored[static_cast<std::size_t>(i)].first) : -std::numeric_limits<float>::infinity();
    }
  }
}

}  // namespace rechost
