#include "random.h"

#include <cmath>
#include <numbers>

namespace synthetic {
namespace {

// The x below which a standard normal value lies with this probability, which is at most one half. Begins with the approximation
// 26.2.23 of Abramowitz and Stegun (error below 4.5e-4), which two Newton steps bring to double precision.
double lower_quantile(double probability) {
  const double t = std::sqrt(-2 * std::log(probability));
  double x = (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308))) - t;
  for (int step = 0; step < 2; ++step) {
    const double density = std::exp(-0.5 * x * x) / std::sqrt(2 * std::numbers::pi);
    x -= (0.5 * std::erfc(-x / std::numbers::sqrt2) - probability) / density;
  }
  return x;
}

}  // namespace

const NormalTable& NormalTable::instance() {
  static const NormalTable table;
  return table;
}

NormalTable::NormalTable() : edges_(kCells + 1) {
  for (std::size_t edge = 1; edge <= kCells / 2; ++edge) {
    edges_[edge] = static_cast<float>(lower_quantile(static_cast<double>(edge) / kCells));
    edges_[kCells - edge] = -edges_[edge];
  }
}

float NormalTable::tail(std::uint64_t bits) {
  // The lower tail is computed and mirrored: probabilities near one have lost the digits that the upper tail needs.
  const bool upper = (bits >> 63) != 0;
  const double probability = (static_cast<double>((upper ? ~bits : bits) >> 11) + 0.5) * 0x1p-53;
  const auto value = static_cast<float>(lower_quantile(probability));
  return upper ? -value : value;
}

}  // namespace synthetic
