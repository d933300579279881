#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "kernels/losses.h"

namespace rechost {

double loss_and_gradient_reference(LossKind kind, const LossInput& input, double gradient_scale, float* gradients) {
  const std::int64_t outputs = input.outputs;
  double total = 0.0;
  for (std::int64_t row = 0; row < input.rows; ++row) {
    const double weight = input.weights == nullptr ? 1.0 : input.weights[row];
    const std::vector<double> x(input.logits + row * outputs, input.logits + (row + 1) * outputs);
    const float* labels = input.labels + row * input.label_stride;
    std::vector<double> gradient(x.size());
    double loss = 0.0;
    if (kind == LossKind::kSoftmaxCrossEntropy) {
      if (!(labels[0] >= 0.0f && labels[0] < static_cast<float>(outputs))) fail<DataError>("class label {} of row {}", labels[0], row);
      const auto label = static_cast<std::size_t>(labels[0]);
      const double largest = *std::max_element(x.begin(), x.end());
      double sum = 0.0;
      for (const double value : x) sum += std::exp(value - largest);
      loss = std::log(sum) + largest - x[label];
      for (std::size_t i = 0; i < x.size(); ++i) gradient[i] = std::exp(x[i] - largest) / sum - (i == label ? 1.0 : 0.0);
    } else {
      const auto count = static_cast<double>(outputs);
      for (std::size_t i = 0; i < x.size(); ++i) {
        const double y = labels[i];
        if (kind == LossKind::kSquaredError) {
          loss += (x[i] - y) * (x[i] - y) / count;
          gradient[i] = 2.0 * (x[i] - y) / count;
        } else {
          loss += (std::max(x[i], 0.0) - x[i] * y + std::log1p(std::exp(-std::abs(x[i])))) / count;
          gradient[i] = (1.0 / (1.0 + std::exp(-x[i])) - y) / count;
        }
      }
    }
    total += weight * loss;
    if (gradients != nullptr) {
      for (std::size_t i = 0; i < gradient.size(); ++i) {
        gradients[row * outputs + static_cast<std::int64_t>(i)] = static_cast<float>(gradient_scale * weight * gradient[i]);
      }
    }
  }
  return total;
}

}  // namespace rechost
