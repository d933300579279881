#include "expected_auc.h"

#include <algorithm>
#include <cstddef>

namespace synthetic {

double expected_auc(std::vector<float> probabilities) {
  std::sort(probabilities.begin(), probabilities.end());
  double ordered = 0;          // weight of pairs in the right order, ties half
  double negatives_below = 0;  // sum of 1 - p over strictly smaller p
  double positives = 0, negatives = 0, own = 0;
  for (std::size_t first = 0; first < probabilities.size();) {
    const double p = probabilities[first];
    std::size_t last = first;
    while (last < probabilities.size() && probabilities[last] == probabilities[first]) ++last;
    const auto count = static_cast<double>(last - first);
    const double pair_with_itself = count * p * (1 - p);
    ordered += count * p * negatives_below + 0.5 * (count * p * count * (1 - p) - pair_with_itself);
    negatives_below += count * (1 - p);
    positives += count * p;
    negatives += count * (1 - p);
    own += pair_with_itself;
    first = last;
  }
  const double pairs = positives * negatives - own;
  return pairs > 0 ? ordered / pairs : 0.5;
}

}  // namespace synthetic
