#pragma once

#include "device/host_device.h"

namespace rechost {

/// e^a to about two units in the last place; below e^-87 the smallest normal number, above e^88 the largest power. NaN stays NaN.
/// Range reduction by ln 2 in two parts and the polynomial of the Cephes library (Moshier, expf).
template <typename Vector>
[[gnu::always_inline]] RECHOST_HOST_DEVICE inline Vector exponential(Vector a) {
  const Vector x = clamp(a, Vector(-87.3f), Vector(88.0f));
  const Vector n = nearest_integer(x * Vector(1.44269504088896341f));
  Vector r = multiply_add(n, Vector(-0.693359375f), x);
  r = multiply_add(n, Vector(2.12194440e-4f), r);
  Vector p = multiply_add(Vector(1.9875691500e-4f), r, Vector(1.3981999507e-3f));
  p = multiply_add(p, r, Vector(8.3334519073e-3f));
  p = multiply_add(p, r, Vector(4.1665795894e-2f));
  p = multiply_add(p, r, Vector(1.6666665459e-1f));
  p = multiply_add(p, r, Vector(5.0000001201e-1f));
  return multiply_add(p, r * r, r + Vector(1.0f)) * power_of_two(n);
}

/// log(1 + a) for 0 <= a <= 1, to about 1e-7 of its value: 2 artanh(a / (2 + a)) by its series.
template <typename Vector>
[[gnu::always_inline]] RECHOST_HOST_DEVICE inline Vector log_one_plus(Vector a) {
  const Vector s = a / (a + Vector(2.0f));
  const Vector square = s * s;
  Vector p = multiply_add(square, Vector(1.0f / 15.0f), Vector(1.0f / 13.0f));
  p = multiply_add(p, square, Vector(1.0f / 11.0f));
  p = multiply_add(p, square, Vector(1.0f / 9.0f));
  p = multiply_add(p, square, Vector(1.0f / 7.0f));
  p = multiply_add(p, square, Vector(1.0f / 5.0f));
  p = multiply_add(p, square, Vector(1.0f / 3.0f));
  p = multiply_add(p, square, Vector(1.0f));
  return (s + s) * p;
}

}  // namespace rechost
