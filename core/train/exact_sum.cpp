#include "train/exact_sum.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace rechost {
namespace {

constexpr int kDigitBits = 32;
constexpr std::int64_t kDigitMask = (std::int64_t{1} << kDigitBits) - 1;
/// Exponent of the lowest bit: that of the smallest subnormal double.
constexpr int kLowestExponent = -1074;
/// Each add() changes a digit by less than 2^32, so the 63 bits of a word take 2^31 of them; half of that leaves room for a carry.
constexpr std::uint32_t kAddsBeforeCarry = std::uint32_t{1} << 30;

}  // namespace

void ExactSum::add(double term) {
  const auto bits = std::bit_cast<std::uint64_t>(term);
  const auto exponent = static_cast<int>((bits >> 52) & 0x7ff);
  if (exponent == 0x7ff) {
    tainted_ = true;
    return;
  }
  std::uint64_t mantissa = bits & ((std::uint64_t{1} << 52) - 1);
  if (exponent != 0) mantissa |= std::uint64_t{1} << 52;
  // Bit number of the mantissa's lowest bit, counted from 2^-1074; subnormals share the exponent of the smallest normal numbers.
  const int position = std::max(exponent, 1) - 1;
  const unsigned __int128 shifted = static_cast<unsigned __int128>(mantissa) << (position % kDigitBits);
  std::int64_t* digits = digits_.data() + position / kDigitBits;
  const auto low = static_cast<std::int64_t>(shifted & kDigitMask);
  const auto middle = static_cast<std::int64_t>((shifted >> kDigitBits) & kDigitMask);
  const auto high = static_cast<std::int64_t>(shifted >> (2 * kDigitBits));
  if ((bits >> 63) == 0) {
    digits[0] += low;
    digits[1] += middle;
    digits[2] += high;
  } else {
    digits[0] -= low;
    digits[1] -= middle;
    digits[2] -= high;
  }
  if (++adds_since_carry_ >= kAddsBeforeCarry) carry();
}

void ExactSum::add(const ExactSum& other) {
  ExactSum settled = other;
  settled.carry();
  carry();
  for (std::size_t i = 0; i < kDigits; ++i) digits_[i] += settled.digits_[i];
  adds_since_carry_ = 1;
  tainted_ = tainted_ || other.tainted_;
}

void ExactSum::carry() {
  // All digits but the highest end in [0, 2^32); the highest keeps the sign, so equal sums have equal digits.
  for (std::size_t i = 0; i + 1 < kDigits; ++i) {
    digits_[i + 1] += digits_[i] >> kDigitBits;
    digits_[i] &= kDigitMask;
  }
  adds_since_carry_ = 0;
}

double ExactSum::value() const {
  ExactSum settled = *this;
  settled.carry();
  const bool negative = settled.digits_.back() < 0;
  if (negative) {
    for (std::int64_t& digit : settled.digits_) digit = -digit;
    settled.carry();
  }
  int highest = static_cast<int>(kDigits) - 1;
  while (highest >= 0 && settled.digits_[static_cast<std::size_t>(highest)] == 0) --highest;
  if (highest < 0) return 0.0;
  // Three digits hold more bits than a double; all below only decide whether a tie is one, so one sticky bit stands for them.
  unsigned __int128 leading = 0;
  for (int i = highest; i > highest - 3; --i) {
    leading = (leading << kDigitBits) | (i >= 0 ? static_cast<std::uint64_t>(settled.digits_[static_cast<std::size_t>(i)]) : 0);
  }
  const int below = std::max(highest - 2, 0);
  if (std::any_of(settled.digits_.begin(), settled.digits_.begin() + below, [](std::int64_t digit) { return digit != 0; })) leading |= 1;
  const double magnitude = std::ldexp(static_cast<double>(leading), kDigitBits * (highest - 2) + kLowestExponent);
  return negative ? -magnitude : magnitude;
}

void ExactSum::pack(std::span<std::int64_t, kWords> words) const {
  ExactSum settled = *this;
  settled.carry();
  std::copy(settled.digits_.begin(), settled.digits_.end(), words.begin());
  words.back() = tainted_ ? 1 : 0;
}

ExactSum ExactSum::unpack(std::span<const std::int64_t, kWords> words) {
  ExactSum sum;
  std::copy(words.begin(), words.end() - 1, sum.digits_.begin());
  sum.tainted_ = words.back() != 0;
  return sum;
}

}  // namespace rechost
