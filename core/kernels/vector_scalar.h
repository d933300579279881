#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "device/host_device.h"

namespace rechost {

/// One float with the members of VectorBaseline: what a GPU's thread computes with. The formulas of optimizer_rules.h and vector_math.h are
/// templates over such types, so a GPU has no copy of its own of any of them.
struct VectorScalar {
  static constexpr int kWidth = 1;
  float value;

  VectorScalar() = default;
  RECHOST_HOST_DEVICE VectorScalar(float from) : value(from) {}

  RECHOST_HOST_DEVICE friend VectorScalar operator+(VectorScalar a, VectorScalar b) { return a.value + b.value; }
  RECHOST_HOST_DEVICE friend VectorScalar operator-(VectorScalar a, VectorScalar b) { return a.value - b.value; }
  RECHOST_HOST_DEVICE friend VectorScalar operator*(VectorScalar a, VectorScalar b) { return a.value * b.value; }
  RECHOST_HOST_DEVICE friend VectorScalar operator/(VectorScalar a, VectorScalar b) { return a.value / b.value; }

  /// a * b + c, rounded once.
  RECHOST_HOST_DEVICE friend VectorScalar multiply_add(VectorScalar a, VectorScalar b, VectorScalar c) {
    return ::fmaf(a.value, b.value, c.value);
  }
  RECHOST_HOST_DEVICE friend VectorScalar square_root(VectorScalar a) { return ::sqrtf(a.value); }

  /// `a` held between low and high; NaN stays NaN.
  RECHOST_HOST_DEVICE friend VectorScalar clamp(VectorScalar a, VectorScalar low, VectorScalar high) {
    const float above = a.value < low.value ? low.value : a.value;
    return above > high.value ? high.value : above;
  }

  /// To the nearest whole number, ties to even.
  RECHOST_HOST_DEVICE friend VectorScalar nearest_integer(VectorScalar a) { return ::rintf(a.value); }
  /// 2^a for whole numbers from -126 to 127.
  RECHOST_HOST_DEVICE friend VectorScalar power_of_two(VectorScalar a) {
    // A NaN has no whole number; what it is multiplied with is NaN already.
    const std::int32_t exponent = a.value == a.value ? static_cast<std::int32_t>(a.value) : 0;
    const std::uint32_t bits = static_cast<std::uint32_t>(exponent + 127) << 23;
    float power;
    std::memcpy(&power, &bits, sizeof(power));
    return power;
  }
  RECHOST_HOST_DEVICE friend VectorScalar absolute(VectorScalar a) { return ::fabsf(a.value); }
  /// The larger; `b` where one is NaN.
  RECHOST_HOST_DEVICE friend VectorScalar larger(VectorScalar a, VectorScalar b) { return a.value > b.value ? a.value : b.value; }
};

}  // namespace rechost
