#pragma once

#include <cstdint>

#include "kernels/loss_rules.h"

namespace rechost {

/// The inner loops of losses.h for one instruction set.
struct LossLoops {
  /// losses[i] and gradients[i] (d loss / d logit) of `count` separate outputs. `gradients` may be `logits` itself.
  void (*binary_cross_entropy)(const float* logits, const float* labels, std::int64_t count, float* losses, float* gradients);

  /// The largest of `count` > 0 logits; unspecified when one is NaN.
  float (*largest)(const float* logits, std::int64_t count);
  /// Sum of exp(logit - largest).
  float (*sum_of_exponentials)(const float* logits, std::int64_t count, float largest);
  /// gradients[i] = scale * exp(logit - largest). `gradients` may be `logits` itself.
  void (*scaled_exponentials)(const float* logits, std::int64_t count, float largest, float scale, float* gradients);
};

const LossLoops& loss_loops_baseline();
const LossLoops& loss_loops_avx2();
const LossLoops& loss_loops_avx512();

template <typename Vector>
void binary_cross_entropy_loop(const float* logits, const float* labels, std::int64_t count, float* losses, float* gradients) {
  for (std::int64_t i = 0; i < count; i += Vector::kWidth) {
    const std::int64_t rest = count - i;
    const Vector x = Vector::load_first(logits + i, rest);
    const Vector y = Vector::load_first(labels + i, rest);
    Vector gradient;
    binary_cross_entropy(x, y, gradient).store_first(losses + i, rest);
    gradient.store_first(gradients + i, rest);
  }
}

template <typename Vector>
float largest_loop(const float* logits, std::int64_t count) {
  if (count < Vector::kWidth) {
    float result = logits[0];
    for (std::int64_t i = 1; i < count; ++i) result = logits[i] > result ? logits[i] : result;
    return result;
  }
  // The last vector may overlap the one before it: harmless for a maximum.
  Vector result = Vector::load(logits + count - Vector::kWidth);
  for (std::int64_t i = 0; i + Vector::kWidth <= count; i += Vector::kWidth) result = larger(result, Vector::load(logits + i));
  float lanes[Vector::kWidth];
  result.store(lanes);
  for (int i = 1; i < Vector::kWidth; ++i) lanes[0] = lanes[i] > lanes[0] ? lanes[i] : lanes[0];
  return lanes[0];
}

template <typename Vector>
float sum_of_exponentials_loop(const float* logits, std::int64_t count, float largest) {
  Vector total(0.0f);
  std::int64_t i = 0;
  for (; i + Vector::kWidth <= count; i += Vector::kWidth) total = total + exponential(Vector::load(logits + i) - Vector(largest));
  float result = sum(total);
  if (i < count) {
    float lanes[Vector::kWidth];
    exponential(Vector::load_first(logits + i, count - i) - Vector(largest)).store(lanes);
    for (std::int64_t lane = 0; lane < count - i; ++lane) result += lanes[lane];
  }
  return result;
}

template <typename Vector>
void scaled_exponentials_loop(const float* logits, std::int64_t count, float largest, float scale, float* gradients) {
  for (std::int64_t i = 0; i < count; i += Vector::kWidth) {
    const std::int64_t rest = count - i;
    const Vector powers = exponential(Vector::load_first(logits + i, rest) - Vector(largest));
    (powers * Vector(scale)).store_first(gradients + i, rest);
  }
}

template <typename Vector>
inline constexpr LossLoops kLossLoops{binary_cross_entropy_loop<Vector>, largest_loop<Vector>, sum_of_exponentials_loop<Vector>,
                                      scaled_exponentials_loop<Vector>};

}  // namespace rechost
