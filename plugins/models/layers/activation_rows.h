// What happens to a layer's rows between two matrix products, in one pass while they are in the cache.
#pragma once

#include <cstdint>

namespace layers {

// max(x, 0) + slope * min(x, 0): 0 is ReLU, 1 leaves x as it is.
struct SlopedRelu {
  float slope = 1.0F;
};

// rows [count, width] = sloped_relu(rows + bias); `bias` [width].
void add_bias_and_activate(SlopedRelu activation, const float* bias, float* rows, int64_t count, int64_t width);

// For outputs y = sloped_relu(z) turns the gradient of y into that of z, in place, and adds its columns up: bias_gradient [width] += sum.
// The sign of y tells that of z (slope > 0), or whether z counted at all (slope 0).
void activation_gradient(SlopedRelu activation, const float* outputs, float* gradients, float* bias_gradient, int64_t count, int64_t width);

}  // namespace layers
