#pragma once

#include <cmath>
#include <cstdint>

#include "device/host_device.h"
#include "kernels/optimizer.h"

/// The mathematics of each optimizer, once: the sparse update of embedding rows and the dense update of parameters both read it from here.
/// `Vector` is a vector type of kernels/vector_*.h; VectorScalar is the GPU's.
namespace rechost {

/// What a rule needs of one step, computed once in double and rounded.
struct RuleConstants {
  float lr = 0.0f;  ///< times the schedule's factor
  float momentum = 0.0f;
  float beta1 = 0.0f;
  float beta1_rest = 1.0f;  ///< 1 - beta1
  float beta2 = 0.0f;
  float beta2_rest = 1.0f;
  float mean_correction = 1.0f;    ///< 1 / (1 - beta1^step)
  float square_correction = 1.0f;  ///< 1 / (1 - beta2^step)
  float eps = 0.0f;
  float shrink = 0.0f;  ///< lr * weight_decay

  float gradient_scale = 1.0f;
  float clip_value = 0.0f;  ///< each element of the scaled gradient is held within +-this; infinity: as it is
  float l2 = 0.0f;          ///< times the value, added to the clipped gradient
};

/// `clip_value` 0 means no clipping.
RuleConstants rule_constants(const OptimizerSettings& optimizer, std::int64_t step, double lr_factor, double gradient_scale,
                             double clip_value, double l2);

/// The gradient that a rule sees.
template <typename Vector>
[[gnu::always_inline]] RECHOST_HOST_DEVICE inline Vector adjusted_gradient(const RuleConstants& rule, Vector value, Vector gradient) {
  const Vector clipped = clamp(gradient * Vector(rule.gradient_scale), Vector(-rule.clip_value), Vector(rule.clip_value));
  return multiply_add(Vector(rule.l2), value, clipped);
}

/// How many state arrays of the parameters' length a rule reads: `first` and `second` of apply_rule(). rowwise_adagrad: see below.
RECHOST_HOST_DEVICE constexpr int element_states(OptimizerKind kind) {
  switch (kind) {
    case OptimizerKind::kSgd:
    case OptimizerKind::kRowwiseAdagrad:
      return 0;
    case OptimizerKind::kMomentum:
    case OptimizerKind::kAdagrad:
      return 1;
    case OptimizerKind::kAdam:
    case OptimizerKind::kAdamW:
      return 2;
  }
  return 0;
}

/// One step of an elementwise rule on some elements and their state. `gradient` is adjusted.
template <OptimizerKind kKind, typename Vector>
[[gnu::always_inline]] RECHOST_HOST_DEVICE inline void apply_rule(const RuleConstants& rule, Vector gradient, Vector& value, Vector& first, Vector& second) {
  const Vector lr(rule.lr);
  if constexpr (kKind == OptimizerKind::kSgd) {
    value = value - lr * gradient;
  } else if constexpr (kKind == OptimizerKind::kMomentum) {
    first = multiply_add(Vector(rule.momentum), first, gradient);
    value = value - lr * first;
  } else if constexpr (kKind == OptimizerKind::kAdagrad) {
    first = multiply_add(gradient, gradient, first);
    value = value - lr * gradient / (square_root(first) + Vector(rule.eps));
  } else {
    static_assert(kKind == OptimizerKind::kAdam || kKind == OptimizerKind::kAdamW);
    first = multiply_add(Vector(rule.beta1), first, Vector(rule.beta1_rest) * gradient);
    second = multiply_add(Vector(rule.beta2), second, Vector(rule.beta2_rest) * (gradient * gradient));
    const Vector mean = first * Vector(rule.mean_correction);
    const Vector root = square_root(second * Vector(rule.square_correction));
    Vector change = lr * mean / (root + Vector(rule.eps));
    if constexpr (kKind == OptimizerKind::kAdamW) change = multiply_add(Vector(rule.shrink), value, change);
    value = value - change;
  }
}

/// rowwise_adagrad, first half: adds the row's mean square gradient to its one state float; returns what gradients are multiplied with.
[[gnu::always_inline]] RECHOST_HOST_DEVICE inline float rowwise_factor(const RuleConstants& rule, float mean_square, float& state) {
  state += mean_square;
  return rule.lr / (::sqrtf(state) + rule.eps);
}

/// Calls body(i, n) for i = 0, kWidth, ...: n is the constant kWidth except for a rest at the end, so that whole vectors need no mask.
template <typename Vector, typename Body>
[[gnu::always_inline]] inline void for_each_vector(std::int64_t count, const Body& body) {
  std::int64_t i = 0;
  for (; i + Vector::kWidth <= count; i += Vector::kWidth) body(i, std::int64_t{Vector::kWidth});
  if (i < count) body(i, count - i);
}

/// Elements that are float32, for update_elements().
template <typename Vector>
struct PlainValues {
  float* values = nullptr;

  [[gnu::always_inline]] Vector load(std::int64_t i, std::int64_t n) const { return Vector::load_first(values + i, n); }
  [[gnu::always_inline]] void store(std::int64_t i, std::int64_t n, Vector value) { value.store_first(values + i, n); }
};

/// One step on `count` neighbouring elements; for rowwise_adagrad they are one row and `first` is its state float. State arrays that the
/// rule does not have are not touched. `values`: PlainValues, or RoundedValues of stochastic_rounding.h. A positive kCount is `count` known to
/// the compiler, so that loops over a row vanish.
template <typename Vector, OptimizerKind kKind, int kCount, typename Values>
[[gnu::always_inline]] inline void update_elements(const RuleConstants& rule, const float* gradients, Values& values, float* first,
                                                   float* second, std::int64_t count) {
  if constexpr (kCount > 0) count = kCount;
  if constexpr (kKind == OptimizerKind::kRowwiseAdagrad) {
    Vector squares(0.0f);
    for_each_vector<Vector>(
        count, [&](std::int64_t i, std::int64_t n) __attribute__((always_inline)) {
          const Vector gradient = adjusted_gradient(rule, values.load(i, n), Vector::load_first(gradients + i, n));
          squares = multiply_add(gradient, gradient, squares);
        });
    const Vector factor(rowwise_factor(rule, sum(squares) / static_cast<float>(count), *first));
    for_each_vector<Vector>(
        count, [&](std::int64_t i, std::int64_t n) __attribute__((always_inline)) {
          const Vector value = values.load(i, n);
          const Vector gradient = adjusted_gradient(rule, value, Vector::load_first(gradients + i, n));
          values.store(i, n, value - factor * gradient);
        });
  } else {
    constexpr int kStates = element_states(kKind);
    for_each_vector<Vector>(
        count, [&](std::int64_t i, std::int64_t n) __attribute__((always_inline)) {
          Vector value = values.load(i, n);
          const Vector gradient = adjusted_gradient(rule, value, Vector::load_first(gradients + i, n));
          Vector first_state(0.0f);
          Vector second_state(0.0f);
          if constexpr (kStates > 0) first_state = Vector::load_first(first + i, n);
          if constexpr (kStates > 1) second_state = Vector::load_first(second + i, n);
          apply_rule<kKind>(rule, gradient, value, first_state, second_state);
          values.store(i, n, value);
          if constexpr (kStates > 0) first_state.store_first(first + i, n);
          if constexpr (kStates > 1) second_state.store_first(second + i, n);
        });
  }
}

}  // namespace rechost
