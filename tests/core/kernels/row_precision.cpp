#include "kernels/row_precision.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/error.h"
#include "core/kernels/random_values.h"

using namespace rechost;

namespace {

/// What a number of 16 bits is worth, by the definition of its format.
double worth(RowPrecision precision, std::uint16_t bits) {
  const int fraction_bits = precision == RowPrecision::kFp16 ? 10 : 7;
  const int exponent_bits = 15 - fraction_bits;
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const int fraction = bits & ((1 << fraction_bits) - 1);
  const int exponent = (bits >> fraction_bits) & ((1 << exponent_bits) - 1);
  const double sign = (bits & 0x8000) != 0 ? -1.0 : 1.0;
  if (exponent == (1 << exponent_bits) - 1) return fraction == 0 ? sign * HUGE_VAL : std::nan("");
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - bias - fraction_bits);
  return sign * std::ldexp((1 << fraction_bits) + fraction, exponent - bias - fraction_bits);
}

std::vector<std::uint16_t> all_patterns() {
  std::vector<std::uint16_t> patterns(65536);
  for (std::size_t i = 0; i < patterns.size(); ++i) patterns[i] = static_cast<std::uint16_t>(i);
  return patterns;
}

}  // namespace

TEST_CASE("every number of 16 bits widens to what it is worth and narrows back to itself") {
  for (const RowPrecision precision : {RowPrecision::kFp16, RowPrecision::kBf16}) {
    const std::vector<std::uint16_t> patterns = all_patterns();
    std::vector<float> wide(patterns.size());
    widen_values(precision, patterns.data(), 65536, wide.data());
    for (std::size_t i = 0; i < patterns.size(); ++i) {
      CAPTURE(row_precision_name(precision), i);
      const double expected = worth(precision, patterns[i]);
      if (std::isnan(expected)) {
        REQUIRE(std::isnan(wide[i]));
        continue;
      }
      REQUIRE(static_cast<double>(wide[i]) == expected);
      REQUIRE(std::signbit(wide[i]) == std::signbit(expected));
      std::uint16_t back = 0;
      const bool finite = !std::isinf(expected);
      REQUIRE(narrow_values(precision, &wide[i], 1, &back) == (finite ? 1 : 0));
      if (finite) REQUIRE(back == patterns[i]);
    }
  }
}

TEST_CASE("narrowing takes the nearest number, of two as near the even one") {
  constexpr std::uint64_t kSeed = 90;
  CAPTURE(kSeed);
  for (const RowPrecision precision : {RowPrecision::kFp16, RowPrecision::kBf16}) {
    test::RandomValues random(kSeed);
    for (int i = 0; i < 200000; ++i) {
      // Between a number and the next one, at a quarter, the middle, or anywhere.
      const std::int64_t finite = precision == RowPrecision::kFp16 ? 0x7BFF : 0x7F7F;
      const auto below = static_cast<std::uint16_t>(random.below(finite));
      const double low = worth(precision, below);
      const double high = worth(precision, static_cast<std::uint16_t>(below + 1));
      const double share = i % 3 == 0 ? 0.5 : i % 3 == 1 ? 0.25 : static_cast<double>(random.uniform(0.0f, 1.0f));
      const float sign = random.below(2) == 0 ? 1.0f : -1.0f;
      const float value = sign * static_cast<float>(low + share * (high - low));
      const double distance = std::abs(static_cast<double>(value)) - low;
      const double middle = (high - low) / 2;
      const bool up = distance > middle || (distance == middle && below % 2 == 1);
      std::uint16_t bits = 0;
      REQUIRE(narrow_values(precision, &value, 1, &bits) == 1);
      CAPTURE(row_precision_name(precision), value, low, high);
      REQUIRE((bits & 0x7FFF) == below + (up ? 1 : 0));
      REQUIRE((bits >> 15) == (sign < 0.0f ? 1 : 0));
    }
  }
}

TEST_CASE("narrowing says where the first value is that does not fit") {
  std::uint16_t bits[4];
  const float fitting[] = {65504.0f, -65504.0f, 0.0f, 1e-30f};
  REQUIRE(narrow_values(RowPrecision::kFp16, fitting, 4, bits) == 4);
  const float large[] = {1.0f, 2.0f, 65505.0f, 1e9f};
  REQUIRE(narrow_values(RowPrecision::kFp16, large, 4, bits) == 2);
  REQUIRE(narrow_values(RowPrecision::kBf16, large, 4, bits) == 4);
  const float none[] = {1.0f, std::nanf(""), 1.0f, 1.0f};
  REQUIRE(narrow_values(RowPrecision::kBf16, none, 4, bits) == 1);
  const float endless[] = {std::numeric_limits<float>::infinity(), 1.0f, 1.0f, 1.0f};
  REQUIRE(narrow_values(RowPrecision::kBf16, endless, 4, bits) == 0);
  float same[4];
  REQUIRE(narrow_values(RowPrecision::kFp32, large, 4, same) == 4);
  REQUIRE(std::memcmp(same, large, sizeof(same)) == 0);
}

TEST_CASE("precisions have the names of the configuration") {
  for (const RowPrecision precision : {RowPrecision::kFp32, RowPrecision::kFp16, RowPrecision::kBf16, RowPrecision::kInt8}) {
    REQUIRE(row_precision(row_precision_name(precision)) == precision);
  }
  REQUIRE_THROWS_WITH(row_precision("bf61"), "unknown precision \"bf61\" (did you mean \"bf16\"?); there are fp32, fp16, bf16 and int8");
}
