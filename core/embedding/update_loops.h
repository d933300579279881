#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "kernels/optimizer_rules.h"
#include "kernels/stochastic_rounding.h"

namespace rechost {

/// Some unique rows of one table and the gradients that belong to them. Borrowed.
struct UpdateJob {
  float* table = nullptr;   ///< first row; a row is dim values in the table's precision, then its optimizer state
  std::int64_t stride = 0;  ///< floats from one table row to the next
  std::int64_t dim = 0;
  const std::int32_t* rows = nullptr;  ///< [row_count]
  std::int64_t row_count = 0;
  const std::int32_t* first_gradient = nullptr;  ///< [row_count + 1] into the two arrays below
  const float* const* gradients = nullptr;       ///< each [dim], to be summed in this order
  const float* scales = nullptr;                 ///< one for each gradient, or null for all 1
  float* sum = nullptr;                          ///< room for `dim` floats
  std::int64_t prefetch_ahead = 8;               ///< rows between the one being updated and the one asked for

  // For rows of 16 bits.
  std::uint64_t rounding_seed = 0;  ///< of seed, table and step
  std::int64_t first_row = 0;       ///< what row 0 is called in the whole table
};

/// Returns the first row that its precision can no longer hold, or -1.
using UpdateFunction = std::int64_t (*)(const RuleConstants& rule, const UpdateJob& job);

/// The loop made for rows of `precision`, `kind` and `dim`, or for any dim.
UpdateFunction update_baseline(RowPrecision precision, OptimizerKind kind, std::int64_t dim);
UpdateFunction update_avx2(RowPrecision precision, OptimizerKind kind, std::int64_t dim);
UpdateFunction update_avx512(RowPrecision precision, OptimizerKind kind, std::int64_t dim);

/// Only sums: writes the summed gradient of row i to table + i * stride; `rows` and `sum` of the job are not used.
using SumFunction = void (*)(const UpdateJob& job);
SumFunction sum_baseline(std::int64_t dim);
SumFunction sum_avx2(std::int64_t dim);
SumFunction sum_avx512(std::int64_t dim);

/// Gradients are scattered over the batch like rows over the table, though over less memory: how many ahead of the one being summed the next
/// one is asked for. About as many cache lines as a processor can wait for at once.
[[gnu::always_inline]] inline std::int64_t gradients_ahead(std::int64_t dim) { return std::clamp<std::int64_t>(64 * 16 / dim, 4, 40); }

[[gnu::always_inline]] inline void prefetch_gradient(const UpdateJob& job, std::int64_t index, std::int64_t dim) {
  constexpr std::int64_t kFloatsPerLine = 16;
  for (std::int64_t i = 0; i < dim; i += kFloatsPerLine) __builtin_prefetch(job.gradients[index] + i, 0, 3);
}

/// Asks for the gradients that no other one comes far enough ahead of. Returns where asking ahead ends.
[[gnu::always_inline]] inline std::int64_t prefetch_first_gradients(const UpdateJob& job, std::int64_t dim) {
  const std::int64_t count = job.first_gradient[job.row_count];
  for (std::int64_t i = job.first_gradient[0]; i < std::min(count, job.first_gradient[0] + gradients_ahead(dim)); ++i) prefetch_gradient(job, i, dim);
  return count - gradients_ahead(dim);
}

/// The sum of gradients [first, last) as `dim` floats: job.sum, or the only gradient itself. Asks for one ahead for each, up to `ask_until`:
/// a row may have hundreds of them, more than fit the nearest cache if they came all at once.
template <typename Vector, int kDim>
[[gnu::always_inline]] inline const float* summed_gradient(const UpdateJob& job, std::int64_t first, std::int64_t last, std::int64_t ask_until) {
  constexpr std::int64_t kWidth = Vector::kWidth;
  constexpr std::int64_t kSums = kDim > 0 ? (kDim + kWidth - 1) / kWidth : 4;
  const std::int64_t dim = kDim > 0 ? kDim : job.dim;
  if (last - first == 1 && job.scales == nullptr) {
    if (first < ask_until) prefetch_gradient(job, first + gradients_ahead(dim), dim);
    return job.gradients[first];
  }
  for (std::int64_t block = 0; block < dim; block += kSums * kWidth) {
    Vector sums[kSums];
    for (std::int64_t v = 0; v < kSums; ++v) sums[v] = Vector(0.0f);
    const std::int64_t rest = dim - block;
    for (std::int64_t i = first; i < last; ++i) {
      if (block == 0 && i < ask_until) prefetch_gradient(job, i + gradients_ahead(dim), dim);
      const float* gradient = job.gradients[i] + block;
      const Vector scale(job.scales == nullptr ? 1.0f : job.scales[i]);
      for (std::int64_t v = 0; v < kSums; ++v) {
        if (kDim > 0 || v * kWidth < rest) {
          sums[v] = multiply_add(Vector::load_first(gradient + v * kWidth, rest - v * kWidth), scale, sums[v]);
        }
      }
    }
    for (std::int64_t v = 0; v < kSums; ++v) {
      if (kDim > 0 || v * kWidth < rest) sums[v].store_first(job.sum + block + v * kWidth, rest - v * kWidth);
    }
  }
  return job.sum;
}

template <typename Vector, typename Element, OptimizerKind kKind, int kDim>
std::int64_t update_loop(const RuleConstants& constants, const UpdateJob& job) {
  const RuleConstants rule = constants;  // a copy of its own cannot change when rows are written, so it stays in registers
  constexpr std::int64_t kFloatsPerLine = 16;
  const std::int64_t dim = kDim > 0 ? kDim : job.dim;
  const std::int64_t value_floats = floats_of_values(sizeof(Element), dim);
  const std::int64_t row_floats = value_floats + (kKind == OptimizerKind::kRowwiseAdagrad ? 1 : element_states(kKind) * dim);
  const std::int64_t ask_until = prefetch_first_gradients(job, dim);

  for (std::int64_t index = 0; index < job.row_count; ++index) {
    if (index + job.prefetch_ahead < job.row_count) {
      const float* ahead = job.table + job.rows[index + job.prefetch_ahead] * job.stride;
      for (std::int64_t i = 0; i < row_floats; i += kFloatsPerLine) __builtin_prefetch(ahead + i, 1, 3);
      __builtin_prefetch(ahead + row_floats - 1, 1, 3);
    }
    const std::int64_t first = job.first_gradient[index];
    const std::int64_t last = job.first_gradient[index + 1];
    const float* gradient = summed_gradient<Vector, kDim>(job, first, last, ask_until);
    float* row = job.table + job.rows[index] * job.stride;
    float* state = row + value_floats;
    if constexpr (std::is_same_v<Element, float>) {
      PlainValues<Vector> values{row};
      update_elements<Vector, kKind, kDim>(rule, gradient, values, state, state + dim, dim);
    } else {
      const RoundingKey key = RoundingKey::of_row(job.rounding_seed, job.first_row + job.rows[index]);
      RoundedValues<Vector, Element> values{.values = reinterpret_cast<Element*>(row), .noise = {.key = key}};
      update_elements<Vector, kKind, kDim>(rule, gradient, values, state, state + dim, dim);
      if (values.beyond != 0) return job.rows[index];
    }
  }
  return -1;
}

template <typename Vector, int kDim>
void sum_loop(const UpdateJob& from) {
  UpdateJob job = from;
  const std::int64_t dim = kDim > 0 ? kDim : job.dim;
  const std::int64_t ask_until = prefetch_first_gradients(job, dim);
  for (std::int64_t index = 0; index < job.row_count; ++index) {
    const std::int64_t first = job.first_gradient[index];
    const std::int64_t last = job.first_gradient[index + 1];
    job.sum = job.table + index * job.stride;
    const float* sum = summed_gradient<Vector, kDim>(job, first, last, ask_until);
    if (sum == job.sum) continue;
    for (std::int64_t column = 0; column < dim; column += Vector::kWidth) {
      Vector::load_first(sum + column, dim - column).store_first(job.sum + column, dim - column);
    }
  }
}

template <typename Vector>
SumFunction sum_function(std::int64_t dim) {
  switch (dim) {
    case 16:
      return sum_loop<Vector, 16>;
    case 32:
      return sum_loop<Vector, 32>;
    case 64:
      return sum_loop<Vector, 64>;
    case 128:
      return sum_loop<Vector, 128>;
    default:
      return sum_loop<Vector, 0>;
  }
}

template <typename Vector, typename Element, OptimizerKind kKind>
UpdateFunction update_function_for_dim(std::int64_t dim) {
  switch (dim) {
    case 16:
      return update_loop<Vector, Element, kKind, 16>;
    case 32:
      return update_loop<Vector, Element, kKind, 32>;
    case 64:
      return update_loop<Vector, Element, kKind, 64>;
    case 128:
      return update_loop<Vector, Element, kKind, 128>;
    default:
      return update_loop<Vector, Element, kKind, 0>;
  }
}

template <typename Vector, typename Element>
UpdateFunction update_function_of(OptimizerKind kind, std::int64_t dim) {
  switch (kind) {
    case OptimizerKind::kSgd:
      return update_function_for_dim<Vector, Element, OptimizerKind::kSgd>(dim);
    case OptimizerKind::kMomentum:
      return update_function_for_dim<Vector, Element, OptimizerKind::kMomentum>(dim);
    case OptimizerKind::kAdagrad:
      return update_function_for_dim<Vector, Element, OptimizerKind::kAdagrad>(dim);
    case OptimizerKind::kRowwiseAdagrad:
      return update_function_for_dim<Vector, Element, OptimizerKind::kRowwiseAdagrad>(dim);
    case OptimizerKind::kAdam:
      return update_function_for_dim<Vector, Element, OptimizerKind::kAdam>(dim);
    case OptimizerKind::kAdamW:
      return update_function_for_dim<Vector, Element, OptimizerKind::kAdamW>(dim);
  }
  return nullptr;
}

template <typename Vector>
UpdateFunction update_function(RowPrecision precision, OptimizerKind kind, std::int64_t dim) {
  switch (precision) {
    case RowPrecision::kFp32:
      return update_function_of<Vector, float>(kind, dim);
    case RowPrecision::kFp16:
      return update_function_of<Vector, Fp16>(kind, dim);
    case RowPrecision::kBf16:
      return update_function_of<Vector, Bf16>(kind, dim);
    case RowPrecision::kInt8:
      break;  // EmbeddingEngine::update() refuses it
  }
  return nullptr;
}

}  // namespace rechost
