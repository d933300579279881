#include "data/label_leak.h"

#include <algorithm>
#include <vector>

namespace rechost {
namespace {

/// A value with few rows says little: so many rows of average share are added to each.
constexpr double kPriorRows = 4.0;

struct Scored {
  double score = 0.0;
  double positives = 0.0;
  double negatives = 0.0;
};

/// Pairs of a positive and a negative row that stand in the right order, as a share; equal scores are half right. `scored` ascends.
std::optional<double> area(std::span<const Scored> scored) {
  double positives = 0.0;
  double negatives = 0.0;
  double right = 0.0;
  for (std::size_t begin = 0, end = 0; begin < scored.size(); begin = end) {
    double tied_positives = 0.0;
    double tied_negatives = 0.0;
    for (; end < scored.size() && scored[end].score == scored[begin].score; ++end) {
      tied_positives += scored[end].positives;
      tied_negatives += scored[end].negatives;
    }
    right += tied_positives * (negatives + 0.5 * tied_negatives);
    positives += tied_positives;
    negatives += tied_negatives;
  }
  if (positives == 0.0 || negatives == 0.0) return std::nullopt;
  return right / (positives * negatives);
}

}  // namespace

LabelFolds& LabelFolds::operator+=(const LabelFolds& other) {
  for (int fold = 0; fold < 2; ++fold) {
    positives[fold] += other.positives[fold];
    negatives[fold] += other.negatives[fold];
  }
  return *this;
}

int fold_of_row(std::int64_t row) { return static_cast<int>(static_cast<std::uint64_t>(row) * 0x9e3779b97f4a7c15ULL >> 63); }

std::optional<double> auc_by_value(std::span<const LabelFolds> values, const LabelFolds& total) {
  double sum = 0.0;
  for (int judged = 0; judged < 2; ++judged) {
    const int learnt = 1 - judged;
    const double rows = static_cast<double>(total.positives[learnt]) + total.negatives[learnt];
    if (rows == 0.0) return std::nullopt;
    const double average = total.positives[learnt] / rows;
    std::vector<Scored> scored;
    scored.reserve(values.size() + 1);
    Scored unseen{average, static_cast<double>(total.positives[judged]), static_cast<double>(total.negatives[judged])};
    for (const LabelFolds& value : values) {
      const double seen = static_cast<double>(value.positives[learnt]) + value.negatives[learnt];
      scored.push_back({(value.positives[learnt] + kPriorRows * average) / (seen + kPriorRows), static_cast<double>(value.positives[judged]),
                        static_cast<double>(value.negatives[judged])});
      unseen.positives -= scored.back().positives;
      unseen.negatives -= scored.back().negatives;
    }
    // Elements of lists are counted one by one, so that nothing may be left for what was not counted.
    if (unseen.positives > 0.0 || unseen.negatives > 0.0) {
      scored.push_back({average, std::max(unseen.positives, 0.0), std::max(unseen.negatives, 0.0)});
    }
    std::sort(scored.begin(), scored.end(), [](const Scored& left, const Scored& right) { return left.score < right.score; });
    const std::optional<double> auc = area(scored);
    if (!auc) return std::nullopt;
    sum += *auc;
  }
  return sum / 2.0;
}

std::optional<double> auc_by_order(std::span<const LabelFolds> ascending) {
  std::vector<Scored> scored;
  scored.reserve(ascending.size());
  for (const LabelFolds& value : ascending) {
    scored.push_back({static_cast<double>(scored.size()), static_cast<double>(value.positives[0]) + value.positives[1],
                      static_cast<double>(value.negatives[0]) + value.negatives[1]});
  }
  const std::optional<double> auc = area(scored);
  return auc ? std::optional<double>(std::max(*auc, 1.0 - *auc)) : std::nullopt;
}

}  // namespace rechost
