#include "train/ranking.h"

#include <array>
#include <cmath>
#include <cstddef>

namespace rechost {
namespace {

double sigmoid(double logit) {
  const double e = std::exp(-std::abs(logit));
  return logit >= 0.0 ? 1.0 / (1.0 + e) : e / (1.0 + e);
}

/// Rows with equal scores, and their weights by class.
struct Tie {
  std::size_t end = 0;
  double positive = 0.0;
  double negative = 0.0;
};

Tie tie_from(std::span<const std::uint64_t> sorted, std::size_t begin) {
  Tie tie;
  for (tie.end = begin; tie.end < sorted.size() && ScoredRow::key(sorted[tie.end]) == ScoredRow::key(sorted[begin]); ++tie.end) {
    (ScoredRow::positive(sorted[tie.end]) ? tie.positive : tie.negative) += ScoredRow::weight(sorted[tie.end]);
  }
  return tie;
}

}  // namespace

void sort_scored_rows(std::vector<std::uint64_t>& rows) {
  constexpr std::size_t kDigitValues = 256;
  std::array<std::array<std::size_t, kDigitValues>, 8> counts{};
  for (const std::uint64_t row : rows) {
    for (std::size_t digit = 0; digit < 8; ++digit) ++counts[digit][(row >> (8 * digit)) & 0xff];
  }
  std::vector<std::uint64_t> other(rows.size());
  for (std::size_t digit = 0; digit < 8; ++digit) {
    std::array<std::size_t, kDigitValues>& count = counts[digit];
    // Equal in all rows (the weights of an unweighted evaluation): nothing to sort by.
    if (!rows.empty() && count[(rows.front() >> (8 * digit)) & 0xff] == rows.size()) continue;
    std::size_t begin = 0;
    for (std::size_t& entry : count) {
      const std::size_t size = entry;
      entry = begin;
      begin += size;
    }
    for (const std::uint64_t row : rows) other[count[(row >> (8 * digit)) & 0xff]++] = row;
    rows.swap(other);
  }
}

std::optional<double> area_under_curve(std::span<const std::uint64_t> sorted) {
  double positives = 0.0;
  double negatives = 0.0;  // of lower scores
  double won = 0.0;
  for (std::size_t i = 0; i < sorted.size();) {
    const Tie tie = tie_from(sorted, i);
    won += tie.positive * (negatives + 0.5 * tie.negative);
    positives += tie.positive;
    negatives += tie.negative;
    i = tie.end;
  }
  if (positives <= 0.0 || negatives <= 0.0) return std::nullopt;
  return won / positives / negatives;
}

std::vector<ReliabilityBin> reliability_table(std::span<const std::uint64_t> sorted, std::int64_t bins) {
  const auto bin_count = static_cast<std::size_t>(bins);
  std::vector<ReliabilityBin> table;
  ReliabilityBin bin;
  double weighted_prediction = 0.0;
  double weighted_label = 0.0;
  std::size_t bins_passed = 0;  // of equal row count, were it not for ties
  for (std::size_t i = 0; i < sorted.size();) {
    const Tie tie = tie_from(sorted, i);
    const double weight = tie.positive + tie.negative;
    bin.rows += static_cast<std::int64_t>(tie.end - i);
    bin.weight += weight;
    weighted_prediction += weight * sigmoid(ScoredRow::score(sorted[i]));
    weighted_label += tie.positive;
    i = tie.end;
    if (i * bin_count / sorted.size() == bins_passed) continue;
    bins_passed = i * bin_count / sorted.size();
    if (bin.weight > 0.0) {
      bin.mean_prediction = weighted_prediction / bin.weight;
      bin.mean_label = weighted_label / bin.weight;
      table.push_back(bin);
    }
    bin = {};
    weighted_prediction = weighted_label = 0.0;
  }
  return table;
}

}  // namespace rechost
