#pragma once

#include <cstdint>
#include <optional>
#include <span>

/// How well one column alone tells a binary label. A feature that tells it nearly always was written down after the label was known.
namespace rechost {

/// Rows with one value, by fold (0 or 1) and label. What is learnt from one fold is judged by the other: an id of its own for each row
/// would otherwise tell everything.
struct LabelFolds {
  std::uint32_t positives[2] = {0, 0};
  std::uint32_t negatives[2] = {0, 0};

  void add(int fold, bool positive) { ++(positive ? positives : negatives)[fold]; }
  LabelFolds& operator+=(const LabelFolds& other);
};

/// The fold of a row: a function of its position alone, without the rhythm that files have.
int fold_of_row(std::int64_t row);

/// Area under the ROC curve of "the share of positives among the rows with this value in the other fold", for ids in no order. `values`:
/// the distinct ones, those left out count as unseen; `total`: all rows. Nothing when a label does not occur in a fold.
std::optional<double> auc_by_value(std::span<const LabelFolds> values, const LabelFolds& total);

/// Of the values in ascending order, or in descending order if that is better: at least 0.5. Nothing when a label does not occur.
std::optional<double> auc_by_order(std::span<const LabelFolds> ascending);

}  // namespace rechost
