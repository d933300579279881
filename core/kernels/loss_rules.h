#pragma once

#include "device/host_device.h"
#include "kernels/vector_math.h"

/// The formula of a loss, once, for all its twins. `Vector` as in optimizer_rules.h.
namespace rechost {

/// Loss of logits x and labels y, and its gradient.
template <typename Vector>
[[gnu::always_inline]] RECHOST_HOST_DEVICE inline Vector binary_cross_entropy(Vector x, Vector y, Vector& gradient) {
  // log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|)): no power ever overflows. `x` second, so that NaN passes.
  const Vector small = exponential(Vector(0.0f) - absolute(x));
  const Vector loss = larger(Vector(0.0f), x) - x * y + log_one_plus(small);
  // sigmoid(x) = 1 / (1 + exp(-|x|)) for positive x, and one minus that for negative x: exp(min(x, 0)) / (1 + exp(-|x|)).
  const Vector above = exponential(Vector(0.0f) - larger(Vector(0.0f), Vector(0.0f) - x));
  gradient = above / (small + Vector(1.0f)) - y;
  return loss;
}

}  // namespace rechost
