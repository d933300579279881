#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/thread_pool.h"
#include "kernels/optimizer.h"

namespace rechost {

/// One parameter tensor inside a flat buffer.
struct DenseRange {
  std::int64_t first = 0;       ///< its first element in the buffer
  std::int64_t count = 0;       ///< elements
  std::int64_t row_length = 1;  ///< the last dimension; `count` is a multiple of it. Read by rowwise_adagrad only
  bool decay = true;            ///< l2 and weight_decay apply (weights yes, biases no)
};

/// Optimizer state in arrays of its own, beside the parameters. Borrowed; an array that the rule has no use for may be null.
///  sgd none; momentum first [n]; adagrad first [n]; rowwise_adagrad first [rows of all ranges, in range order];
///  adam, adamw first [n] (mean) and second [n] (mean square), where n is the length of the flat buffer.
struct DenseState {
  float* first = nullptr;
  float* second = nullptr;
};

struct DenseUpdateSettings {
  std::int64_t step = 1;        ///< from 1, for bias corrections
  double lr_factor = 1.0;       ///< of the schedule
  double gradient_scale = 1.0;  ///< multiplied into every gradient first: clipping by norm, loss scale, accumulation
  double l2 = 0.0;              ///< adds l2 * value to the gradient where the range decays
};

/// Throws Error unless the range consists of whole rows.
void check_dense_range(const DenseRange& range);

/// Floats in DenseState::first and ::second for a buffer of `count` elements.
std::array<std::int64_t, 2> dense_state_floats(OptimizerKind kind, std::int64_t count, std::span<const DenseRange> ranges);

/// Writes what the state is before the first step: initial_accumulator for both forms of adagrad, else zero.
void initialize_dense_state(const OptimizerSettings& optimizer, std::int64_t count, std::span<const DenseRange> ranges, DenseState state);

/// One step of `optimizer` over the ranges of a flat buffer: values [n], gradients [n], both float32, not overlapping.
/// Ranges must not overlap each other; elements outside all ranges stay as they are. One pass over memory; results do not depend on
/// the number of threads. Throws Error when a range is malformed.
void dense_update(const OptimizerSettings& optimizer, const DenseUpdateSettings& settings, std::span<const DenseRange> ranges,
                  float* values, const float* gradients, DenseState state, ThreadPool& pool);

/// The same in plain loops and double precision, one thread: what dense_update() is tested against.
void dense_update_reference(const OptimizerSettings& optimizer, const DenseUpdateSettings& settings, std::span<const DenseRange> ranges,
                            float* values, const float* gradients, DenseState state);

/// Sum of squares in double: the square of the gradient norm. Fixed chunks, so it does not depend on the number of threads.
double sum_of_squares(std::span<const float> values, ThreadPool& pool);

}  // namespace rechost
