#include "device/launch.h"
#include "kernels/cuda_kernels.h"
#include "kernels/lane_sum.h"
#include "kernels/vector_scalar.h"

namespace rechost {
namespace {

RECHOST_HOST_DEVICE inline bool contains(const std::int32_t* sorted, std::int64_t count, std::int64_t wanted) {
  std::int64_t low = 0;
  std::int64_t high = count;
  while (low < high) {
    const std::int64_t middle = low + (high - low) / 2;
    if (sorted[middle] < wanted) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low < count && sorted[low] == wanted;
}

/// The row that update row r is about, or -1 when it is skipped.
RECHOST_HOST_DEVICE inline std::int64_t row_of(const RowUpdate& update, std::int64_t r) {
  const std::int64_t row = update.rows == nullptr ? r : update.rows[r];
  return contains(update.skipped, update.skipped_count, row) ? -1 : row;
}

RECHOST_HOST_DEVICE inline VectorScalar gradient_of(const RuleConstants& rule, const RowUpdate& update, std::int64_t element, float value) {
  const float gradient = update.gradients == nullptr ? 0.0f : update.gradients[element];
  return adjusted_gradient(rule, VectorScalar(value), VectorScalar(gradient));
}

/// Index = element of [row_count, dim].
template <OptimizerKind kKind>
struct UpdateElement {
  RuleConstants rule;
  RowUpdate update;

  RECHOST_HOST_DEVICE void operator()(std::int64_t element) const {
    constexpr int kStates = element_states(kKind);
    const std::int64_t row = row_of(update, element / update.dim);
    if (row < 0) return;
    const std::int64_t column = element % update.dim;
    float& value = update.values[row * update.value_stride + column];
    float* const first = kStates > 0 ? update.first + row * update.first_stride + column : nullptr;
    float* const second = kStates > 1 ? update.second + row * update.second_stride + column : nullptr;
    VectorScalar now(value);
    VectorScalar first_state(kStates > 0 ? *first : 0.0f);
    VectorScalar second_state(kStates > 1 ? *second : 0.0f);
    apply_rule<kKind>(rule, gradient_of(rule, update, element, value), now, first_state, second_state);
    value = now.value;
    if (kStates > 0) *first = first_state.value;
    if (kStates > 1) *second = second_state.value;
  }
};

/// Index = row of the update: the first half of rowwise_adagrad.
struct RowFactor {
  RuleConstants rule;
  RowUpdate update;

  RECHOST_HOST_DEVICE void operator()(std::int64_t r) const {
    const std::int64_t row = row_of(update, r);
    if (row < 0) return;
    const float* const values = update.values + row * update.value_stride;
    VectorScalar squares(0.0f);
    for (std::int64_t column = 0; column < update.dim; ++column) {
      const VectorScalar gradient = gradient_of(rule, update, r * update.dim + column, values[column]);
      squares = multiply_add(gradient, gradient, squares);
    }
    update.factors[r] = rowwise_factor(rule, squares.value / static_cast<float>(update.dim), update.first[row * update.first_stride]);
  }
};

/// Index = element of [row_count, dim]: the second half.
struct ApplyFactor {
  RuleConstants rule;
  RowUpdate update;

  RECHOST_HOST_DEVICE void operator()(std::int64_t element) const {
    const std::int64_t r = element / update.dim;
    const std::int64_t row = row_of(update, r);
    if (row < 0) return;
    float& value = update.values[row * update.value_stride + element % update.dim];
    value = (VectorScalar(value) - VectorScalar(update.factors[r]) * gradient_of(rule, update, element, value)).value;
  }
};

struct Clamp {
  float* values;
  float limit;

  RECHOST_HOST_DEVICE void operator()(std::int64_t i) const {
    values[i] = clamp(VectorScalar(values[i]), VectorScalar(-limit), VectorScalar(limit)).value;
  }
};

struct Square {
  const float* values;

  RECHOST_HOST_DEVICE double operator()(std::int64_t i) const {
    const double value = values[i];
    return value * value;
  }
};

template <OptimizerKind kKind>
const char* update_elements(StreamHandle stream, const RuleConstants& rule, const RowUpdate& update) {
  return for_each_index(stream, update.row_count * update.dim, UpdateElement<kKind>{rule, update});
}

}  // namespace
}  // namespace rechost

using namespace rechost;

RECHOST_MODULE_EXPORT const char* rechost_cuda_update_rows(StreamHandle stream, OptimizerKind kind, const RuleConstants& rule,
                                                           const RowUpdate& update) {
  switch (kind) {
    case OptimizerKind::kSgd:
      return update_elements<OptimizerKind::kSgd>(stream, rule, update);
    case OptimizerKind::kMomentum:
      return update_elements<OptimizerKind::kMomentum>(stream, rule, update);
    case OptimizerKind::kAdagrad:
      return update_elements<OptimizerKind::kAdagrad>(stream, rule, update);
    case OptimizerKind::kAdam:
      return update_elements<OptimizerKind::kAdam>(stream, rule, update);
    case OptimizerKind::kAdamW:
      return update_elements<OptimizerKind::kAdamW>(stream, rule, update);
    case OptimizerKind::kRowwiseAdagrad:
      break;
  }
  if (const char* error = for_each_index(stream, update.row_count, RowFactor{rule, update})) return error;
  return for_each_index(stream, update.row_count * update.dim, ApplyFactor{rule, update});
}

RECHOST_MODULE_EXPORT const char* rechost_cuda_clamp_values(StreamHandle stream, float* values, std::int64_t count, float limit) {
  return for_each_index(stream, count, Clamp{values, limit});
}

RECHOST_MODULE_EXPORT const char* rechost_cuda_sum_of_squares(StreamHandle stream, const float* values, std::int64_t count, double* room) {
  return sum_in_parts(stream, count, Square{values}, room);
}
