#include "embedding/row_order.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace rechost {
namespace {

/// By the extended Euclidean algorithm.
std::int64_t inverse_of(std::int64_t number, std::int64_t modulus) {
  std::int64_t rest = modulus, next_rest = number;
  std::int64_t factor = 0, next_factor = 1;
  while (next_rest != 0) {
    const std::int64_t quotient = rest / next_rest;
    rest = std::exchange(next_rest, rest - quotient * next_rest);
    factor = std::exchange(next_factor, factor - quotient * next_factor);
  }
  return factor < 0 ? factor + modulus : factor;
}

}  // namespace

RowOrder RowOrder::scattered(std::int64_t rows) {
  constexpr double kGoldenSection = 0.6180339887498949;
  RowOrder order;
  order.modulus_ = rows;
  order.multiplier_ = std::max<std::int64_t>(1, static_cast<std::int64_t>(kGoldenSection * static_cast<double>(rows)));
  while (std::gcd(order.multiplier_, rows) != 1) --order.multiplier_;
  order.inverse_ = inverse_of(order.multiplier_, rows);
  return order;
}

}  // namespace rechost
