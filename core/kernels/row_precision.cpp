#include "kernels/row_precision.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/nearest_name.h"

namespace rechost {
namespace {

constexpr std::array<std::pair<RowPrecision, std::string_view>, 4> kNames{
    {{RowPrecision::kFp32, "fp32"}, {RowPrecision::kFp16, "fp16"}, {RowPrecision::kBf16, "bf16"}, {RowPrecision::kInt8, "int8"}}};

constexpr std::uint32_t kSign = 0x80000000u;
constexpr float kLeastNormalFp16 = 0x1p-14f;
constexpr int kFp16ExponentShift = (127 - 15) << 23;  // between the exponents' biases
constexpr int kFp16DroppedBits = 23 - 10;

float widened(Bf16 value) { return std::bit_cast<float>(static_cast<std::uint32_t>(value.bits) << 16); }

float widened(Fp16 value) {
  const std::uint32_t sign = static_cast<std::uint32_t>(value.bits & 0x8000u) << 16;
  const std::uint32_t magnitude = value.bits & 0x7FFFu;
  const float subnormal = static_cast<float>(static_cast<std::int32_t>(magnitude)) * 0x1p-24f;
  std::uint32_t normal = (magnitude << kFp16DroppedBits) + kFp16ExponentShift;
  if (magnitude >= 0x7C00u) normal += kFp16ExponentShift;  // infinity and NaN
  return std::bit_cast<float>(sign | (magnitude < 0x0400u ? std::bit_cast<std::uint32_t>(subnormal) : normal));
}

/// `dropped` low bits go, to the nearest, ties to even.
constexpr std::uint32_t rounded_shift(std::uint32_t bits, int dropped) {
  return (bits + (1u << (dropped - 1)) - 1u + ((bits >> dropped) & 1u)) >> dropped;
}

Bf16 nearest(float value, Bf16 /*to*/) { return {static_cast<std::uint16_t>(rounded_shift(std::bit_cast<std::uint32_t>(value), 16))}; }

Fp16 nearest(float value, Fp16 /*to*/) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t magnitude = bits & ~kSign;
  const std::uint32_t normal = rounded_shift(magnitude - kFp16ExponentShift, kFp16DroppedBits);
  // Adding 2^-1 leaves as many bits behind the point as a subnormal number has, and the addition rounds.
  const std::uint32_t subnormal = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - std::bit_cast<std::uint32_t>(0.5f);
  const std::uint32_t rounded = magnitude < std::bit_cast<std::uint32_t>(kLeastNormalFp16) ? subnormal : normal;
  return {static_cast<std::uint16_t>(rounded | ((bits & kSign) >> 16))};
}

template <typename Narrow>
void widen(const void* from, std::int64_t count, float* to) {
  const auto* const values = static_cast<const Narrow*>(from);
  for (std::int64_t i = 0; i < count; ++i) to[i] = widened(values[i]);
}

void widen_row(const void* from, std::int64_t dim, float* to) {
  const auto* const values = static_cast<const Int8*>(from);
  const float* const of_row = static_cast<const float*>(from) + floats_of_values(sizeof(Int8), dim);
  for (std::int64_t i = 0; i < dim; ++i) to[i] = std::fma(static_cast<float>(values[i].steps), of_row[0], of_row[1]);
}

std::int64_t narrow_row(const float* from, std::int64_t dim, void* to) {
  for (std::int64_t i = 0; i < dim; ++i) {
    if (!std::isfinite(from[i])) return i;
  }
  const auto [least, largest] = std::minmax_element(from, from + dim);
  auto* const values = static_cast<Int8*>(to);
  float* const of_row = static_cast<float*>(to) + floats_of_values(sizeof(Int8), dim);
  const double step = (static_cast<double>(*largest) - static_cast<double>(*least)) / 255.0;
  for (std::int64_t i = 0; i < dim; ++i) {
    const double steps = step > 0.0 ? (static_cast<double>(from[i]) - static_cast<double>(*least)) / step : 0.0;
    values[i].steps = static_cast<std::uint8_t>(std::nearbyint(steps));
  }
  of_row[0] = static_cast<float>(step);
  of_row[1] = *least;
  return dim;
}

template <typename Narrow>
std::int64_t narrow(const float* from, std::int64_t count, void* to) {
  auto* const values = static_cast<Narrow*>(to);
  std::int64_t beyond = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    values[i] = nearest(from[i], Narrow{});
    beyond += std::abs(from[i]) <= Narrow::kLargest ? 0 : 1;
  }
  if (beyond == 0) return count;
  std::int64_t first = 0;
  while (std::abs(from[first]) <= Narrow::kLargest) ++first;
  return first;
}

}  // namespace

RowPrecision row_precision(std::string_view name) {
  std::array<std::string, kNames.size()> candidates;
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i].second == name) return kNames[i].first;
    candidates[i] = kNames[i].second;
  }
  fail<ConfigError>("unknown precision \"{}\"{}; there are fp32, fp16, bf16 and int8", name, suggestion(name, candidates));
}

std::string_view row_precision_name(RowPrecision precision) {
  for (const auto& [candidate, name] : kNames) {
    if (candidate == precision) return name;
  }
  return "unknown";
}

std::int64_t value_bytes(RowPrecision precision) {
  return static_cast<std::int64_t>(precision == RowPrecision::kFp32 ? sizeof(float) : precision == RowPrecision::kInt8 ? sizeof(Int8) : sizeof(std::uint16_t));
}

std::int64_t row_value_floats(RowPrecision precision, std::int64_t dim) {
  return floats_of_values(value_bytes(precision), dim) + (precision == RowPrecision::kInt8 ? Int8::kRowFloats : 0);
}

float largest_value(RowPrecision precision) {
  switch (precision) {
    case RowPrecision::kFp16:
      return Fp16::kLargest;
    case RowPrecision::kBf16:
      return Bf16::kLargest;
    case RowPrecision::kFp32:
    case RowPrecision::kInt8:
      break;
  }
  return std::numeric_limits<float>::max();
}

void widen_values(RowPrecision precision, const void* from, std::int64_t count, float* to) {
  switch (precision) {
    case RowPrecision::kFp32:
      std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(float));
      break;
    case RowPrecision::kFp16:
      widen<Fp16>(from, count, to);
      break;
    case RowPrecision::kBf16:
      widen<Bf16>(from, count, to);
      break;
    case RowPrecision::kInt8:
      widen_row(from, count, to);
      break;
  }
}

std::int64_t narrow_values(RowPrecision precision, const float* from, std::int64_t count, void* to) {
  switch (precision) {
    case RowPrecision::kFp16:
      return narrow<Fp16>(from, count, to);
    case RowPrecision::kBf16:
      return narrow<Bf16>(from, count, to);
    case RowPrecision::kInt8:
      return narrow_row(from, count, to);
    case RowPrecision::kFp32:
      break;
  }
  std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(float));
  return count;
}

}  // namespace rechost
