#pragma once

#include <cstdint>

#include "kernels/optimizer_rules.h"

namespace rechost {

/// A piece of one DenseRange, whole rows for rowwise_adagrad. Pointers are already at the piece's first element or row.
struct DenseChunk {
  float* values = nullptr;
  const float* gradients = nullptr;
  float* first = nullptr;
  float* second = nullptr;
  std::int64_t count = 0;
  std::int64_t row_length = 1;
};

using DenseUpdateFunction = void (*)(const RuleConstants& rule, const DenseChunk& chunk);

DenseUpdateFunction dense_update_baseline(OptimizerKind kind);
DenseUpdateFunction dense_update_avx2(OptimizerKind kind);
DenseUpdateFunction dense_update_avx512(OptimizerKind kind);

template <typename Vector, OptimizerKind kKind>
void dense_update_chunk(const RuleConstants& constants, const DenseChunk& chunk) {
  const RuleConstants rule = constants;  // a copy of its own cannot change when values are written, so it stays in registers
  if constexpr (kKind == OptimizerKind::kRowwiseAdagrad) {
    for (std::int64_t begin = 0, row = 0; begin < chunk.count; begin += chunk.row_length, ++row) {
      PlainValues<Vector> values{chunk.values + begin};
      update_elements<Vector, kKind, 0>(rule, chunk.gradients + begin, values, chunk.first + row, nullptr, chunk.row_length);
    }
  } else {
    PlainValues<Vector> values{chunk.values};
    update_elements<Vector, kKind, 0>(rule, chunk.gradients, values, chunk.first, chunk.second, chunk.count);
  }
}

template <typename Vector>
DenseUpdateFunction dense_update_function(OptimizerKind kind) {
  switch (kind) {
    case OptimizerKind::kSgd:
      return dense_update_chunk<Vector, OptimizerKind::kSgd>;
    case OptimizerKind::kMomentum:
      return dense_update_chunk<Vector, OptimizerKind::kMomentum>;
    case OptimizerKind::kAdagrad:
      return dense_update_chunk<Vector, OptimizerKind::kAdagrad>;
    case OptimizerKind::kRowwiseAdagrad:
      return dense_update_chunk<Vector, OptimizerKind::kRowwiseAdagrad>;
    case OptimizerKind::kAdam:
      return dense_update_chunk<Vector, OptimizerKind::kAdam>;
    case OptimizerKind::kAdamW:
      return dense_update_chunk<Vector, OptimizerKind::kAdamW>;
  }
  return nullptr;
}

}  // namespace rechost
