#include "kernels/gpu_kernels.h"

#include <cmath>

#include "base/error.h"

namespace rechost {
namespace {

void check(const char* error, const char* kernel) {
  if (error != nullptr) fail<DeviceError>("{} could not be started on the GPU: {}", kernel, error);
}

}  // namespace

GpuKernels::GpuKernels(std::shared_ptr<const Gpu> gpu)
    : gpu_(std::move(gpu)),
      kernels_(gpu_->module()),
      sum_room_(gpu_, static_cast<std::size_t>(kSumRoom) * sizeof(double), "sums"),
      parts_(gpu_, static_cast<std::size_t>(kSumParts) * sizeof(double), "sums") {}

void GpuKernels::update_rows(OptimizerKind kind, const RuleConstants& rule, RowUpdate update) {
  if (kind == OptimizerKind::kRowwiseAdagrad) {
    factors_.reserve(gpu_, static_cast<std::size_t>(update.row_count) * sizeof(float), "step sizes of rows");
    update.factors = factors_.data<float>();
  }
  check(kernels_.update_rows(gpu_->stream(), kind, rule, update), "the optimizer");
}

void GpuKernels::dense_update(const OptimizerSettings& optimizer, const DenseUpdateSettings& settings, std::span<const DenseRange> ranges,
                              float* values, const float* gradients, DenseState state) {
  const RuleConstants decaying = rule_constants(optimizer, settings.step, settings.lr_factor, settings.gradient_scale, 0.0, settings.l2);
  RuleConstants plain = decaying;
  plain.l2 = 0.0F;
  plain.shrink = 0.0F;
  const bool rowwise = optimizer.kind == OptimizerKind::kRowwiseAdagrad;
  const auto at = [](float* array, std::int64_t index) { return array == nullptr ? nullptr : array + index; };
  std::int64_t rows_before = 0;
  for (const DenseRange& range : ranges) {
    check_dense_range(range);
    RowUpdate update;
    update.dim = range.row_length;
    update.row_count = range.count / range.row_length;
    update.values = values + range.first;
    update.value_stride = range.row_length;
    update.gradients = gradients + range.first;
    update.first = at(state.first, rowwise ? rows_before : range.first);
    update.first_stride = rowwise ? 1 : range.row_length;
    update.second = at(state.second, range.first);
    update.second_stride = range.row_length;
    update_rows(optimizer.kind, range.decay ? decaying : plain, update);
    rows_before += update.row_count;
  }
}

void GpuKernels::clamp_values(float* values, std::int64_t count, float limit) {
  check(kernels_.clamp_values(gpu_->stream(), values, count, limit), "clipping");
}

double GpuKernels::sum_of_parts() {
  gpu_->copy_out(parts_.data(), sum_room_.data<double>(), parts_.bytes());
  const auto* const parts = reinterpret_cast<const double*>(parts_.data());
  double total = 0.0;
  for (std::int64_t i = 0; i < kSumParts; ++i) total += parts[i];
  return total;
}

double GpuKernels::sum_of_squares(const float* values, std::int64_t count) {
  check(kernels_.sum_of_squares(gpu_->stream(), values, count, sum_room_.data<double>()), "a sum of squares");
  return sum_of_parts();
}

double GpuKernels::loss_and_gradient(LossKind kind, const LossInput& input, const float* class_labels, double gradient_scale,
                                     float* gradients) {
  if (input.rows == 0) return 0.0;
  if (input.outputs < 1) fail<Error>("{} needs at least one output per sample, not {}", loss_name(kind), input.outputs);
  if (kind == LossKind::kSoftmaxCrossEntropy) {
    for (std::int64_t row = 0; row < input.rows; ++row) check_class_label(class_labels[row * input.label_stride], row, input.outputs);
  }
  check(kernels_.loss_and_gradient(gpu_->stream(), kind, input, gradient_scale, gradients, sum_room_.data<double>()), "a loss");
  return sum_of_parts();
}

}  // namespace rechost
