#ifndef RECHOST_SYNTHETIC_EXPECTED_AUC_H
#define RECHOST_SYNTHETIC_EXPECTED_AUC_H

#include <vector>

namespace synthetic {

// AUC that scoring by the true probabilities has on average over the labels: of all ordered pairs i, j weighted by p_i (1 - p_j), the
// share with p_i > p_j, ties counted half. No model can do better on average. O(n log n); 0.5 when there is no such pair.
double expected_auc(std::vector<float> probabilities);

}  // namespace synthetic

#endif  // RECHOST_SYNTHETIC_EXPECTED_AUC_H
