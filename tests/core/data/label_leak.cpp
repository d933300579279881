#include "data/label_leak.h"

#include <vector>

#include <catch2/catch.hpp>

using namespace rechost;

namespace {

LabelFolds folds(std::uint32_t positives, std::uint32_t negatives) { return {{positives, positives}, {negatives, negatives}}; }

LabelFolds sum(const std::vector<LabelFolds>& values) {
  LabelFolds total;
  for (const LabelFolds& value : values) total += value;
  return total;
}

}  // namespace

TEST_CASE("a value that is the label gives all away, one that has nothing to do with it nothing") {
  const std::vector<LabelFolds> telling{folds(100, 0), folds(0, 300)};
  CHECK(auc_by_value(telling, sum(telling)).value() == Approx(1.0));
  const std::vector<LabelFolds> silent{folds(10, 30), folds(20, 60), folds(5, 15)};
  CHECK(auc_by_value(silent, sum(silent)).value() == Approx(0.5));
}

TEST_CASE("the area is the share of pairs in the right order, equal scores count half") {
  // By hand: rates 3/4 and 1/4; a positive is of the first value with 3/4, a negative with 1/4: 9/16 right, 6/16 tied.
  const std::vector<LabelFolds> values{folds(300, 100), folds(100, 300)};
  CHECK(auc_by_value(values, sum(values)).value() == Approx(9.0 / 16 + 6.0 / 32));
  CHECK(auc_by_order(values).value() == Approx(9.0 / 16 + 6.0 / 32));
}

TEST_CASE("an id of its own for each row tells nothing: what was learnt of one fold is judged by the other") {
  std::vector<LabelFolds> values;
  for (int row = 0; row < 400; ++row) {
    LabelFolds value;
    value.add(fold_of_row(row), row % 3 == 0);
    values.push_back(value);
  }
  CHECK(auc_by_value(values, sum(values)).value() == Approx(0.5));
}

TEST_CASE("values left out count as unseen") {
  const std::vector<LabelFolds> frequent{folds(90, 10)};
  LabelFolds total = folds(90, 10);
  total += folds(50, 150);  // of values that were not counted one by one
  // Seen: 90 of 140 positives, 10 of 160 negatives; the others have the average as their score, which is lower.
  const double right = (90.0 * 150 + 0.5 * (90.0 * 10 + 50.0 * 150)) / (140.0 * 160);
  CHECK(auc_by_value(frequent, total).value() == Approx(right));
}

TEST_CASE("numbers count in the better direction; without both labels there is no area") {
  CHECK(auc_by_order(std::vector<LabelFolds>{folds(0, 5), folds(1, 1), folds(5, 0)}).value() == auc_by_order(std::vector<LabelFolds>{folds(5, 0), folds(1, 1), folds(0, 5)}).value());
  CHECK(auc_by_order(std::vector<LabelFolds>{folds(5, 0), folds(0, 5)}).value() == 1.0);
  CHECK_FALSE(auc_by_order(std::vector<LabelFolds>{folds(5, 0), folds(3, 0)}));
  CHECK_FALSE(auc_by_value(std::vector<LabelFolds>{folds(0, 4)}, folds(0, 4)));
  CHECK_FALSE(auc_by_value(std::vector<LabelFolds>{}, LabelFolds{}));
  // All positives in one fold.
  const LabelFolds lopsided{{3, 0}, {2, 2}};
  CHECK_FALSE(auc_by_value(std::vector<LabelFolds>{lopsided}, lopsided));
}

TEST_CASE("rows fall into both folds, without a rhythm") {
  int ones = 0;
  int changes = 0;
  for (int row = 0; row < 10'000; ++row) {
    ones += fold_of_row(row);
    changes += row > 0 && fold_of_row(row) != fold_of_row(row - 1) ? 1 : 0;
  }
  CHECK((ones > 4'900 && ones < 5'100));
  CHECK((changes > 3'000 && changes < 9'000));
}
