#include "layers/activation_rows.h"

#include "layers/instruction_sets.h"

namespace layers {

MODEL_KERNELS_FOR_ALL_PROCESSORS
void add_bias_and_activate(SlopedRelu activation, const float* bias, float* rows, int64_t count, int64_t width) {
  const float slope = activation.slope;
  for (int64_t row = 0; row < count; ++row) {
    float* const values = rows + row * width;
    for (int64_t i = 0; i < width; ++i) {
      const float value = values[i] + bias[i];
      values[i] = value > 0.0F ? value : slope * value;
    }
  }
}

namespace {

// Columns whose sums stay in registers over all rows.
constexpr int64_t kColumns = 64;

template <bool kWhole>
[[gnu::always_inline]] inline void gradient_columns(float slope, const float* outputs, float* gradients, float* bias_gradient,
                                                    int64_t count, int64_t width, int64_t columns) {
  float sums[kColumns] = {};
  for (int64_t row = 0; row < count; ++row) {
    const float* const value = outputs + row * width;
    float* const gradient = gradients + row * width;
    for (int64_t i = 0; i < (kWhole ? kColumns : columns); ++i) {
      gradient[i] = value[i] > 0.0F ? gradient[i] : slope * gradient[i];
      sums[i] += gradient[i];
    }
  }
  for (int64_t i = 0; i < columns; ++i) bias_gradient[i] += sums[i];
}

}  // namespace

MODEL_KERNELS_FOR_ALL_PROCESSORS
void activation_gradient(SlopedRelu activation, const float* outputs, float* gradients, float* bias_gradient, int64_t count,
                         int64_t width) {
  int64_t first = 0;
  for (; first + kColumns <= width; first += kColumns)
    gradient_columns<true>(activation.slope, outputs + first, gradients + first, bias_gradient + first, count, width, kColumns);
  if (first < width)
    gradient_columns<false>(activation.slope, outputs + first, gradients + first, bias_gradient + first, count, width, width - first);
}

}  // namespace layers
