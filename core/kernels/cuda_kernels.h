#pragma once

#include <cstdint>

#include "device/cuda_module.h"
#include "kernels/losses.h"
#include "kernels/optimizer_rules.h"

/// What the module rechost_cuda computes for this floor: the CUDA twins of dense_update.h and losses.h. All pointers are addresses on the
/// device; work is queued on the stream; the functions return null or the text of an error.
namespace rechost {

/// Rows of one array, each updated once: parameters of a flat buffer (row r follows row r - 1, state in arrays of its own), or rows of an
/// embedding table (`rows` says which, state behind each row's values).
struct RowUpdate {
  float* values = nullptr;         ///< row 0
  std::int64_t value_stride = 0;   ///< floats from one row to the next
  float* first = nullptr;          ///< state of row 0 as in optimizer_rules.h: dim floats a row, one for rowwise_adagrad
  std::int64_t first_stride = 0;
  float* second = nullptr;
  std::int64_t second_stride = 0;
  const std::int32_t* rows = nullptr;  ///< [row_count], each once; null: row r is row r
  std::int64_t row_count = 0;
  std::int64_t dim = 0;
  const float* gradients = nullptr;  ///< [row_count, dim]; null: all zero, so that only decay is left
  const std::int32_t* skipped = nullptr;  ///< [skipped_count] ascending: rows that are left as they are
  std::int64_t skipped_count = 0;
  float* factors = nullptr;  ///< room for row_count floats; rowwise_adagrad only
};

/// Sums come back in so many parts, which the host adds up in order: the same bits in every run.
inline constexpr std::int64_t kSumParts = 64;
/// Room that a sum needs on the device: doubles, the kSumParts of its result first.
inline constexpr std::int64_t kSumRoom = kSumParts + 16384;

/// The kernels' host functions, looked up once.
struct CudaKernels {
  explicit CudaKernels(const CudaModule& module);

  const char* (*update_rows)(StreamHandle stream, OptimizerKind kind, const RuleConstants& rule, const RowUpdate& update);

  /// Holds each value within +-limit.
  const char* (*clamp_values)(StreamHandle stream, float* values, std::int64_t count, float limit);

  /// `room` [kSumRoom]: its first kSumParts are the sum of squares in parts.
  const char* (*sum_of_squares)(StreamHandle stream, const float* values, std::int64_t count, double* room);

  /// As loss_and_gradient(), with its result in parts in `room` [kSumRoom]. Class numbers are not checked here: the host does it.
  const char* (*loss_and_gradient)(StreamHandle stream, LossKind kind, const LossInput& input, double gradient_scale, float* gradients,
                                   double* room);
};

}  // namespace rechost
