// Ids in [0, cardinality) with frequencies proportional to 1 / rank^exponent.
#ifndef RECHOST_SYNTHETIC_ZIPF_H
#define RECHOST_SYNTHETIC_ZIPF_H

#include <cstdint>
#include <vector>

#include "random.h"

namespace synthetic {

// Which id has which rank is scrambled, so that frequent ids are spread over the id range like hashed ones. Small cardinalities use
// an alias table (Walker 1977, built as by Vose 1991), large ones rejection-inversion (Hormann, Derflinger: Rejection-inversion to
// generate variates from monotone discrete distributions, TOMACS 1996), which needs no memory.
class ZipfSampler {
 public:
  ZipfSampler(std::int64_t cardinality, double exponent, std::uint64_t scramble_key);

  std::int64_t operator()(std::uint64_t bits) const {
    if (cells_.empty()) return reject_and_invert(bits);
    const auto position = static_cast<std::uint32_t>(((bits >> 32) * cells_.size()) >> 32);
    const Cell& cell = cells_[position];
    // Without a branch: which way it goes is random, so that a processor would guess wrong half of the time.
    const std::uint32_t own = -static_cast<std::uint32_t>(static_cast<std::uint32_t>(bits) < cell.threshold);
    return cell.alias ^ ((cell.alias ^ position) & own);
  }

 private:
  struct Cell {
    std::uint32_t threshold;  // below: the cell's own id
    std::uint32_t alias;
  };

  // 8 MB: beyond, reading the table costs more than the logarithms of the other way.
  static constexpr std::int64_t kLargestTable = 1 << 20;

  std::int64_t id_of_rank(std::int64_t rank) const;
  void build_table();
  void prepare_inversion();
  std::int64_t reject_and_invert(std::uint64_t bits) const;
  double density(double x) const;
  double integral(double x) const;
  double inverse_integral(double area) const;

  std::int64_t cardinality_;
  double exponent_;
  std::uint64_t multiplier_ = 1, offset_ = 0;  // id = (rank * multiplier + offset) mod cardinality
  std::vector<Cell> cells_;
  double area_first_ = 0, area_all_ = 0, shortcut_ = 0;
};

}  // namespace synthetic

#endif  // RECHOST_SYNTHETIC_ZIPF_H
