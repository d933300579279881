#include "layers/activation_rows.h"

#include "layers/instruction_sets.h"

namespace layers {

// Both loops choose between numbers, not between things to do: a multiplication that may be left out is a jump to the compiler, which nobody can
// guess, and keeps it from taking eight values at once. NaN stays NaN.

MODEL_KERNELS_FOR_ALL_PROCESSORS
void add_bias_and_activate(SlopedRelu activation, const float* bias, float* rows, int64_t count, int64_t width) {
  const float slope = activation.slope;
  for (int64_t row = 0; row < count; ++row) {
    float* const values = rows + row * width;
    for (int64_t i = 0; i < width; ++i) {
      const float value = values[i] + bias[i];
      const float above = value > 0.0F ? value : 0.0F;
      const float below = value > 0.0F ? 0.0F : value;
      values[i] = above + slope * below;
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
      const float derivative = value[i] > 0.0F ? 1.0F : slope;
      gradient[i] *= derivative;
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
