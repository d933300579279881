#pragma once

#include <array>
#include <memory>
#include <span>

#include "device/gpu.h"
#include "kernels/cuda_kernels.h"
#include "kernels/dense_update.h"

namespace rechost {

/// dense_update.h and losses.h on a GPU. Arrays are addresses on the GPU; work is queued on the GPU's stream, in the order of the calls.
/// Numbers are those of the CPU but for rounding: the formulas are the same functions, sums are made in another order, the same in every run.
class GpuKernels {
 public:
  explicit GpuKernels(std::shared_ptr<const Gpu> gpu);

  /// Queued.
  void dense_update(const OptimizerSettings& optimizer, const DenseUpdateSettings& settings, std::span<const DenseRange> ranges, float* values,
                    const float* gradients, DenseState state);
  /// Rows of a table or of a buffer; `update.factors` is filled in here. Queued.
  void update_rows(OptimizerKind kind, const RuleConstants& rule, RowUpdate update);
  /// Holds each value within +-limit. Queued.
  void clamp_values(float* values, std::int64_t count, float limit);

  /// Waits for its result.
  double sum_of_squares(const float* values, std::int64_t count);

  /// Waits for its result. `class_labels`: the labels of softmax_cross_entropy in host memory, laid out as input.labels; checked as on the CPU.
  double loss_and_gradient(LossKind kind, const LossInput& input, const float* class_labels, double gradient_scale, float* gradients);

 private:
  double sum_of_parts();

  std::shared_ptr<const Gpu> gpu_;
  CudaKernels kernels_;
  DeviceBuffer sum_room_;
  DeviceBuffer factors_;
  PinnedBuffer parts_;
};

}  // namespace rechost
