#include "kernels/dense_update.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "device/instruction_set.h"
#include "kernels/dense_update_loops.h"

namespace rechost {
namespace {

/// Elements a thread takes at once: a few arrays of that size fit its second-level cache, and the hand-out costs nothing beside it.
constexpr std::int64_t kChunkElements = 16384;

struct Work {
  DenseChunk chunk;
  bool decay = true;
};

float* at(float* array, std::int64_t index) { return array == nullptr ? nullptr : array + index; }

/// Cuts the ranges into chunks whose borders depend on the ranges alone.
std::vector<Work> cut(OptimizerKind kind, std::span<const DenseRange> ranges, float* values, const float* gradients, DenseState state) {
  const bool rowwise = kind == OptimizerKind::kRowwiseAdagrad;
  std::vector<Work> work;
  std::int64_t rows_before = 0;
  for (const DenseRange& range : ranges) {
    check_dense_range(range);
    const std::int64_t rows_per_chunk = std::max<std::int64_t>(1, kChunkElements / range.row_length);
    const std::int64_t step = rowwise ? rows_per_chunk * range.row_length : kChunkElements;
    for (std::int64_t begin = 0; begin < range.count; begin += step) {
      const std::int64_t first = range.first + begin;
      const std::int64_t first_state = rowwise ? rows_before + begin / range.row_length : first;
      work.push_back({{.values = values + first,
                       .gradients = gradients + first,
                       .first = at(state.first, first_state),
                       .second = at(state.second, first),
                       .count = std::min(step, range.count - begin),
                       .row_length = range.row_length},
                      range.decay});
    }
    rows_before += range.count / range.row_length;
  }
  return work;
}

}  // namespace

void check_dense_range(const DenseRange& range) {
  if (range.first < 0 || range.count < 0 || range.row_length < 1 || range.count % range.row_length != 0) {
    fail<Error>("dense update: range of {} elements from {} does not consist of rows of {}", range.count, range.first, range.row_length);
  }
}

std::array<std::int64_t, 2> dense_state_floats(OptimizerKind kind, std::int64_t count, std::span<const DenseRange> ranges) {
  if (kind == OptimizerKind::kRowwiseAdagrad) {
    std::int64_t rows = 0;
    for (const DenseRange& range : ranges) {
      check_dense_range(range);
      rows += range.count / range.row_length;
    }
    return {rows, 0};
  }
  const int states = element_states(kind);
  return {states > 0 ? count : 0, states > 1 ? count : 0};
}

void initialize_dense_state(const OptimizerSettings& optimizer, std::int64_t count, std::span<const DenseRange> ranges, DenseState state) {
  const auto [first, second] = dense_state_floats(optimizer.kind, count, ranges);
  const bool accumulates = optimizer.kind == OptimizerKind::kAdagrad || optimizer.kind == OptimizerKind::kRowwiseAdagrad;
  std::fill_n(state.first, first, accumulates ? static_cast<float>(optimizer.initial_accumulator) : 0.0f);
  std::fill_n(state.second, second, 0.0f);
}

void dense_update(const OptimizerSettings& optimizer, const DenseUpdateSettings& settings, std::span<const DenseRange> ranges,
                  float* values, const float* gradients, DenseState state, ThreadPool& pool) {
  const std::vector<Work> work = cut(optimizer.kind, ranges, values, gradients, state);
  const RuleConstants decaying = rule_constants(optimizer, settings.step, settings.lr_factor, settings.gradient_scale, 0.0, settings.l2);
  RuleConstants plain = decaying;
  plain.l2 = 0.0f;
  plain.shrink = 0.0f;
  const DenseUpdateFunction update = choose_twin(dense_update_baseline, dense_update_avx2, dense_update_avx512)(optimizer.kind);
  pool.parallel_for(static_cast<std::int64_t>(work.size()), [&](std::int64_t index) {
    const Work& item = work[static_cast<std::size_t>(index)];
    update(item.decay ? decaying : plain, item.chunk);
  });
}

double sum_of_squares(std::span<const float> values, ThreadPool& pool) {
  const auto count = static_cast<std::int64_t>(values.size());
  const std::int64_t chunks = (count + kChunkElements - 1) / kChunkElements;
  std::vector<double> sums(static_cast<std::size_t>(chunks));
  pool.parallel_for(chunks, [&](std::int64_t chunk) {
    const std::int64_t end = std::min(count, (chunk + 1) * kChunkElements);
    // Eight sums at once: one alone would wait for each addition before the next.
    std::array<double, 8> lanes{};
    std::int64_t i = chunk * kChunkElements;
    for (; i + 8 <= end; i += 8) {
      for (int lane = 0; lane < 8; ++lane) {
        const double value = values[static_cast<std::size_t>(i + lane)];
        lanes[static_cast<std::size_t>(lane)] += value * value;
      }
    }
    double sum = ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
    for (; i < end; ++i) {
      const double value = values[static_cast<std::size_t>(i)];
      sum += value * value;
    }
    sums[static_cast<std::size_t>(chunk)] = sum;
  });
  double total = 0.0;
  for (const double sum : sums) total += sum;
  return total;
}

}  // namespace rechost
