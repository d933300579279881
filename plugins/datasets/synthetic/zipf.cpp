#include "zipf.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace synthetic {

ZipfSampler::ZipfSampler(std::int64_t cardinality, double exponent, std::uint64_t scramble_key)
    : cardinality_(cardinality), exponent_(exponent) {
  const auto size = static_cast<std::uint64_t>(cardinality);
  offset_ = draw(scramble_key, 0) % size;
  multiplier_ = 1 + draw(scramble_key, 1) % size;
  // Only a multiplier without a common factor makes the scramble a permutation.
  while (std::gcd(multiplier_, size) != 1) ++multiplier_;
  if (cardinality <= kLargestTable)
    build_table();
  else
    prepare_inversion();
}

std::int64_t ZipfSampler::id_of_rank(std::int64_t rank) const {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(static_cast<std::uint64_t>(rank)) * multiplier_ + offset_;
  return static_cast<std::int64_t>(product % static_cast<std::uint64_t>(cardinality_));
}

void ZipfSampler::build_table() {
  const auto size = static_cast<std::size_t>(cardinality_);
  std::vector<double> weight(size);
  double sum = 0;
  for (std::size_t rank = 0; rank < size; ++rank) {
    const double value = std::pow(static_cast<double>(rank + 1), -exponent_);
    weight[static_cast<std::size_t>(id_of_rank(static_cast<std::int64_t>(rank)))] = value;
    sum += value;
  }
  // Scaled so that the average cell is full at 1: cells that have less are filled up from cells that have more.
  std::vector<std::uint32_t> small, large;
  for (std::size_t id = 0; id < size; ++id) {
    weight[id] *= static_cast<double>(size) / sum;
    (weight[id] < 1 ? small : large).push_back(static_cast<std::uint32_t>(id));
  }
  cells_.resize(size);
  for (std::size_t id = 0; id < size; ++id) cells_[id] = {0xffffffffu, static_cast<std::uint32_t>(id)};
  while (!small.empty() && !large.empty()) {
    const std::uint32_t poor = small.back(), rich = large.back();
    small.pop_back();
    cells_[poor] = {static_cast<std::uint32_t>(weight[poor] * 0x1p32), rich};
    weight[rich] -= 1 - weight[poor];
    if (weight[rich] < 1) {
      large.pop_back();
      small.push_back(rich);
    }
  }
}

// Below: ranks are counted from 1, as in the paper. The density x^-exponent is integrated over cells of width one around each rank;
// a point of that area is drawn, and accepted when it lies under the histogram.
void ZipfSampler::prepare_inversion() {
  area_first_ = integral(1.5) - 1;
  area_all_ = integral(static_cast<double>(cardinality_) + 0.5);
  shortcut_ = 2 - inverse_integral(integral(2.5) - density(2));
}

std::int64_t ZipfSampler::reject_and_invert(std::uint64_t bits) const {
  while (true) {
    const double area = area_all_ + uniform(bits) * (area_first_ - area_all_);
    const double x = inverse_integral(area);
    const std::int64_t rank = std::clamp(static_cast<std::int64_t>(x + 0.5), std::int64_t{1}, cardinality_);
    const auto center = static_cast<double>(rank);
    if (center - x <= shortcut_ || area >= integral(center + 0.5) - density(center)) return id_of_rank(rank - 1);
    bits = mix(bits + kGoldenGamma);
  }
}

double ZipfSampler::density(double x) const { return std::exp(-exponent_ * std::log(x)); }

// (x^(1-s) - 1) / (1-s), which tends to log x as s tends to 1; written so that it is accurate there.
double ZipfSampler::integral(double x) const {
  const double logarithm = std::log(x), scaled = (1 - exponent_) * logarithm;
  return (std::abs(scaled) > 1e-8 ? std::expm1(scaled) / scaled : 1 + scaled / 2) * logarithm;
}

double ZipfSampler::inverse_integral(double area) const {
  // Rounding may push the argument of log1p below its pole.
  const double scaled = std::max(area * (1 - exponent_), -1.0);
  return std::exp((std::abs(scaled) > 1e-8 ? std::log1p(scaled) / scaled : 1 - scaled / 2) * area);
}

}  // namespace synthetic
