#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "base/cache_line.h"
#include "embedding/row_order.h"
#include "kernels/optimizer_rules.h"
#include "kernels/stochastic_rounding.h"

namespace rechost {

/// Some unique rows of one table and the gradients that belong to them. Borrowed.
struct UpdateJob {
  float* table = nullptr;   ///< first row; a row is dim values in the table's precision, then its optimizer state
  std::int64_t stride = 0;  ///< floats from one table row to the next
  std::int64_t dim = 0;
  const std::int32_t* rows = nullptr;     ///< [row_count] where they are
  const std::int32_t* numbers = nullptr;  ///< [row_count] what they are called; the same for a table in memory
  std::int64_t row_count = 0;
  const std::int32_t* first_gradient = nullptr;  ///< [row_count + 1] into the two arrays below
  const float* const* gradients = nullptr;       ///< each [dim], to be summed in this order
  const float* scales = nullptr;                 ///< one for each gradient, or null for all 1
  float* sum = nullptr;                          ///< room for `dim` floats
  std::int64_t rows_at_once = 8;                 ///< rows that are asked for together, while as many before them are updated

  // For rows of 16 bits.
  std::uint64_t rounding_seed = 0;  ///< of seed, table and step
  RowOrder order;                   ///< of the whole table
  std::int64_t first_row = 0;       ///< the place of row 0 in it
  std::uint32_t first_word = 0;     ///< of the noise of a row of the whole table, for column 0
};

/// Returns the number of the first row that its precision can no longer hold, or -1.
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

/// Asks for the gradients that rows are updated with, which are scattered over the batch like rows over the table, though over less memory.
class GradientsAhead {
 public:
  [[gnu::always_inline]] GradientsAhead(const UpdateJob& job, std::int64_t dim)
      : gradients_(job.gradients), count_(job.first_gradient[job.row_count]), dim_(dim), asked_(job.first_gradient[0]) {}

  /// Those up to `end`, but no more than the nearest cache takes beside what is at work on `now`: a row may have hundreds.
  [[gnu::always_inline]] void ask_until(std::int64_t end, std::int64_t now) {
    constexpr std::int64_t kFloatsAhead = 2048;
    const std::int64_t most = now + std::clamp<std::int64_t>(kFloatsAhead / dim_, 4, 32);
    for (end = std::min({end, most, count_}); asked_ < end; ++asked_) {
      for (std::int64_t i = 0; i < dim_; i += kFloatsPerLine) __builtin_prefetch(gradients_[asked_] + i, 0, 3);
    }
  }
  /// While gradient `now` is being added.
  [[gnu::always_inline]] void ask_on(std::int64_t now) { ask_until(count_, now); }

 private:
  const float* const* gradients_;
  std::int64_t count_;
  std::int64_t dim_;
  std::int64_t asked_;
};

/// The sum of gradients [first, last) as `dim` floats: job.sum, or the only gradient itself.
template <typename Vector, int kDim>
[[gnu::always_inline]] inline const float* summed_gradient(const UpdateJob& job, std::int64_t first, std::int64_t last, GradientsAhead& ahead) {
  constexpr std::int64_t kWidth = Vector::kWidth;
  constexpr std::int64_t kSums = kDim > 0 ? (kDim + kWidth - 1) / kWidth : 4;
  const std::int64_t dim = kDim > 0 ? kDim : job.dim;
  if (last - first == 1 && job.scales == nullptr) return job.gradients[first];
  for (std::int64_t block = 0; block < dim; block += kSums * kWidth) {
    Vector sums[kSums];
    for (std::int64_t v = 0; v < kSums; ++v) sums[v] = Vector(0.0f);
    const std::int64_t rest = dim - block;
    for (std::int64_t i = first; i < last; ++i) {
      if (block == 0) ahead.ask_on(i);
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

/// Asks for the lines of rows [first, last) of a job, to be written. All of them at once and by as few instructions as possible: a processor
/// that has to look up the page of a row keeps what follows waiting in its queue, and the fewer instructions come between two rows,
/// the more of them it waits for side by side.
[[gnu::always_inline]] inline void prefetch_rows_for_writing(const UpdateJob& job, std::int64_t first, std::int64_t last, std::int64_t floats) {
  // A row that does not begin on a line reaches into one more.
  const bool on_lines = job.stride % kFloatsPerLine == 0;
  for (std::int64_t i = first; i < last; ++i) {
    const float* const row = job.table + job.rows[i] * job.stride;
    for (std::int64_t f = 0; f < floats; f += kFloatsPerLine) __builtin_prefetch(row + f, 1, 3);
    if (!on_lines) __builtin_prefetch(row + floats - 1, 1, 3);
  }
}

template <typename Vector, typename Element, OptimizerKind kKind, int kDim>
std::int64_t update_loop(const RuleConstants& constants, const UpdateJob& from) {
  const RuleConstants rule = constants;  // copies of its own cannot change when rows are written, so they stay in registers
  const UpdateJob job = from;
  const std::int64_t dim = kDim > 0 ? kDim : job.dim;
  const std::int64_t value_floats = floats_of_values(sizeof(Element), dim);
  const std::int64_t row_floats = value_floats + (kKind == OptimizerKind::kRowwiseAdagrad ? 1 : element_states(kKind) * dim);
  GradientsAhead ahead(job, dim);

  prefetch_rows_for_writing(job, 0, std::min(job.rows_at_once, job.row_count), row_floats);
  for (std::int64_t begin = 0; begin < job.row_count; begin += job.rows_at_once) {
    const std::int64_t end = std::min(begin + job.rows_at_once, job.row_count);
    const std::int64_t next_end = std::min(end + job.rows_at_once, job.row_count);
    prefetch_rows_for_writing(job, end, next_end, row_floats);
    ahead.ask_until(job.first_gradient[next_end], job.first_gradient[begin]);
    for (std::int64_t index = begin; index < end; ++index) {
      const float* gradient = summed_gradient<Vector, kDim>(job, job.first_gradient[index], job.first_gradient[index + 1], ahead);
      float* row = job.table + job.rows[index] * job.stride;
      float* state = row + value_floats;
      if constexpr (std::is_same_v<Element, float>) {
        PlainValues<Vector> values{row};
        update_elements<Vector, kKind, kDim>(rule, gradient, values, state, state + dim, dim);
      } else {
        RoundingKey key = RoundingKey::of_row(job.rounding_seed, job.order.row_at(job.first_row + job.numbers[index]));
        key.low += job.first_word;
        RoundedValues<Vector, Element> values{.values = reinterpret_cast<Element*>(row), .noise = {.key = key}};
        update_elements<Vector, kKind, kDim>(rule, gradient, values, state, state + dim, dim);
        if (values.beyond != 0) return job.numbers[index];
      }
    }
  }
  return -1;
}

template <typename Vector, int kDim>
void sum_loop(const UpdateJob& from) {
  UpdateJob job = from;
  const std::int64_t dim = kDim > 0 ? kDim : job.dim;
  GradientsAhead ahead(job, dim);
  for (std::int64_t index = 0; index < job.row_count; ++index) {
    const std::int64_t first = job.first_gradient[index];
    job.sum = job.table + index * job.stride;
    ahead.ask_on(first);
    const float* sum = summed_gradient<Vector, kDim>(job, first, job.first_gradient[index + 1], ahead);
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
