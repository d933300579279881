#include "kernels/optimizer_reference.h"

#include <cmath>

namespace rechost {

void optimizer_step_reference(const OptimizerSettings& optimizer, std::int64_t step, double lr_factor, std::span<const double> gradient,
                              std::span<double> values, std::span<double> state) {
  const std::size_t dim = values.size();
  const double lr = optimizer.lr * lr_factor;
  const double b1 = optimizer.beta1;
  const double b2 = optimizer.beta2;
  const auto t = static_cast<double>(step);

  if (optimizer.kind == OptimizerKind::kRowwiseAdagrad) {
    double squares = 0.0;
    for (const double g : gradient) squares += g * g;
    state[0] += squares / static_cast<double>(dim);
  }
  for (std::size_t i = 0; i < dim; ++i) {
    const double g = gradient[i];
    const double before = values[i];
    switch (optimizer.kind) {
      case OptimizerKind::kSgd:
        values[i] -= lr * g;
        break;
      case OptimizerKind::kMomentum:
        state[i] = optimizer.momentum * state[i] + g;
        values[i] -= lr * state[i];
        break;
      case OptimizerKind::kAdagrad:
        state[i] += g * g;
        values[i] -= lr * g / (std::sqrt(state[i]) + optimizer.eps);
        break;
      case OptimizerKind::kRowwiseAdagrad:
        values[i] -= lr * g / (std::sqrt(state[0]) + optimizer.eps);
        break;
      case OptimizerKind::kAdam:
      case OptimizerKind::kAdamW: {
        double& m = state[i];
        double& v = state[dim + i];
        m = b1 * m + (1.0 - b1) * g;
        v = b2 * v + (1.0 - b2) * g * g;
        values[i] -= lr * (m / (1.0 - std::pow(b1, t))) / (std::sqrt(v / (1.0 - std::pow(b2, t))) + optimizer.eps);
        if (optimizer.kind == OptimizerKind::kAdamW) values[i] -= lr * optimizer.weight_decay * before;
        break;
      }
    }
  }
}

}  // namespace rechost
