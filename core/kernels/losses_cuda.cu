#include <cmath>

#include "device/launch.h"
#include "kernels/cuda_kernels.h"
#include "kernels/lane_sum.h"
#include "kernels/loss_rules.h"
#include "kernels/vector_scalar.h"

namespace rechost {
namespace {

struct LossTask {
  LossInput input;
  double gradient_scale;
  float* gradients;  ///< may be null, may be the logits

  RECHOST_HOST_DEVICE double weight(std::int64_t row) const { return input.weights == nullptr ? 1.0 : input.weights[row]; }
  RECHOST_HOST_DEVICE const float* label(std::int64_t row) const { return input.labels + row * input.label_stride; }
};

/// Term for each output: both losses that look at each output by itself.
template <LossKind kKind>
struct SeparateOutput {
  LossTask task;

  RECHOST_HOST_DEVICE double operator()(std::int64_t i) const {
    const std::int64_t row = i / task.input.outputs;
    const VectorScalar x(task.input.logits[i]);
    const VectorScalar y(task.label(row)[i % task.input.outputs]);
    VectorScalar gradient(0.0f);
    VectorScalar loss(0.0f);
    if constexpr (kKind == LossKind::kBinaryCrossEntropy) {
      loss = binary_cross_entropy(x, y, gradient);
    } else {
      const VectorScalar difference = x - y;
      loss = difference * difference;
      gradient = VectorScalar(2.0f) * difference;
    }
    const double weight = task.weight(row) / static_cast<double>(task.input.outputs);
    if (task.gradients != nullptr) task.gradients[i] = static_cast<float>(task.gradient_scale * weight * gradient.value);
    return weight * loss.value;
  }
};

/// Term for each row.
struct SoftmaxRow {
  LossTask task;

  RECHOST_HOST_DEVICE double operator()(std::int64_t row) const {
    const std::int64_t outputs = task.input.outputs;
    const float* const logits = task.input.logits + row * outputs;
    const auto label = static_cast<std::int64_t>(*task.label(row));
    const double weight = task.weight(row);
    float largest = logits[0];
    for (std::int64_t i = 1; i < outputs; ++i) largest = logits[i] > largest ? logits[i] : largest;
    float sum = 0.0f;
    for (std::int64_t i = 0; i < outputs; ++i) sum += exponential(VectorScalar(logits[i] - largest)).value;
    const double loss = weight * (::log(static_cast<double>(sum)) + (static_cast<double>(largest) - logits[label]));
    if (task.gradients != nullptr) {
      float* const gradients = task.gradients + row * outputs;
      const double scale = task.gradient_scale * weight;
      const auto factor = static_cast<float>(scale / static_cast<double>(sum));
      for (std::int64_t i = 0; i < outputs; ++i) gradients[i] = exponential(VectorScalar(logits[i] - largest)).value * factor;
      gradients[label] = static_cast<float>(gradients[label] - scale);
    }
    return loss;
  }
};

}  // namespace
}  // namespace rechost

using namespace rechost;

RECHOST_MODULE_EXPORT const char* rechost_cuda_loss_and_gradient(StreamHandle stream, LossKind kind, const LossInput& input,
                                                                 double gradient_scale, float* gradients, double* room) {
  const LossTask task{input, gradient_scale, gradients};
  switch (kind) {
    case LossKind::kBinaryCrossEntropy:
      return sum_in_parts(stream, input.rows * input.outputs, SeparateOutput<LossKind::kBinaryCrossEntropy>{task}, room);
    case LossKind::kSquaredError:
      return sum_in_parts(stream, input.rows * input.outputs, SeparateOutput<LossKind::kSquaredError>{task}, room);
    case LossKind::kSoftmaxCrossEntropy:
      break;
  }
  return sum_in_parts(stream, input.rows, SoftmaxRow{task}, room);
}
