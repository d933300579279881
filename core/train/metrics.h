#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "train/exact_sum.h"

namespace rechost {

/// One number of an evaluation, or the reason why there is none ("all labels are 0"): an undefined value is never made up.
struct MetricValue {
  std::string name;  ///< "auc", or "click.auc" when the model has several heads
  std::optional<double> value;
  std::string reason;  ///< why there is no value
};

/// A bin of the reliability table: rows of neighbouring predictions.
struct ReliabilityBin {
  double mean_prediction = 0.0;
  double mean_label = 0.0;
  double weight = 0.0;  ///< sum of the rows' weights
  std::int64_t rows = 0;
};

/// The least and the largest of some numbers.
struct ValueRange {
  float least = std::numeric_limits<float>::infinity();
  float largest = -std::numeric_limits<float>::infinity();

  void add(float value) {
    least = value < least ? value : least;
    largest = value > largest ? value : largest;
  }
  /// Bound by bound: an empty one has them the wrong way round, and changes nothing.
  void add(const ValueRange& other) {
    least = other.least < least ? other.least : least;
    largest = other.largest > largest ? other.largest : largest;
  }
  bool empty() const { return least > largest; }
  double spread() const { return empty() ? 0.0 : static_cast<double>(largest) - static_cast<double>(least); }
};

/// Between which bounds the outputs and labels of one head lie.
struct HeadRanges {
  std::string prefix;  ///< of the head's metrics: "" or "click."
  std::int64_t rows = 0;
  std::vector<ValueRange> outputs;  ///< by column; finite ones only
  ValueRange labels;

  /// The widest of the outputs' columns.
  double output_spread() const;
};

/// Values in order of computation.
struct MetricReport {
  std::vector<MetricValue> values;
  std::vector<std::pair<std::string, std::vector<ReliabilityBin>>> reliability;  ///< by prefix of the head ("" or "click.")
  std::vector<HeadRanges> ranges;  ///< of heads with labels

  /// The entry of that name, or null.
  const MetricValue* find(std::string_view name) const;
  /// The value of that name, if there is one.
  std::optional<double> value(std::string_view name) const;
  void append(MetricReport other);

  /// {"auc": 0.79, ...}: defined values only, as in summary.json.
  Json values_json() const;
  /// {"auc": "all labels are 0"}: the undefined ones.
  Json reasons_json() const;
  /// [{"head": "click", "bins": [{"mean_prediction": 0.01, "mean_label": 0.02, "weight": 500.0, "rows": 500}, ...]}]: head "" is the only one.
  Json reliability_json() const;
};

enum class MetricTask {
  kBinary,      ///< outputs [rows] logits, labels [rows] in [0, 1]
  kMultilabel,  ///< outputs [rows, width] logits, labels [rows, width] in [0, 1]; figures over all elements (micro average)
  kMulticlass,  ///< outputs [rows, width] logits, labels [rows]: class numbers
  kRegression,  ///< outputs [rows], labels [rows]
};

struct MetricSettings {
  MetricTask task = MetricTask::kBinary;
  std::int64_t width = 1;
  std::string prefix;  ///< of the names: "" for a model with one head, else "<head>."
  /// Keep 8 bytes a row for what needs all rows at once: auc, reliability, expected calibration error.
  bool keep_rows = true;
};

/// Metrics of one head over any number of batches. The result is the same to the last bit however the rows are ordered, cut into batches
/// and spread over ranks: sums are exact (ExactSum), AUC comes from sorted rows. One thread at a time.
///
///  binary, multilabel: log_loss (natural logarithm), normalized_entropy (log_loss / entropy of the base rate; He et al. 2014), auc (ties
///    count half), accuracy (at probability .5; half itself counts as 0), calibration (mean prediction / mean label),
///    expected_calibration_error (over the reliability table: 20 bins of equal row count; equal predictions share a bin), rmse (of the
///    probability), mean_prediction, mean_label
///  multiclass: log_loss, accuracy (the first of equal logits wins)
///  regression: rmse, mae, mean_prediction, mean_label
class MetricAccumulator {
 public:
  explicit MetricAccumulator(MetricSettings settings);

  /// `weights` [rows] >= 0, or empty for 1. Throws DataError for a label that the task does not allow (naming value and row of the
  /// batch) and for a negative or non-finite weight. Outputs that are not finite are counted; finish() then has reasons instead of values.
  void add(std::span<const float> outputs, std::span<const float> labels, std::span<const float> weights);

  std::int64_t rows() const { return rows_; }

  /// May be called at any time; more rows may follow. Not const: kept rows are sorted in place.
  MetricReport finish();

  void clear();

  /// The state of another rank's accumulator with the same settings. Throws Error when it is not one.
  std::vector<std::byte> pack() const;
  void merge(std::span<const std::byte> packed);

 private:
  void add_binary(std::span<const float> outputs, std::span<const float> labels, std::span<const float> weights);
  void add_multiclass(std::span<const float> outputs, std::span<const float> labels, std::span<const float> weights);
  void add_regression(std::span<const float> outputs, std::span<const float> labels, std::span<const float> weights);
  void finish_binary(MetricReport& report);
  void finish_ranking(MetricReport& report);
  void undefined_all(MetricReport& report, const std::string& reason) const;
  std::string name(std::string_view metric) const { return settings_.prefix + std::string(metric); }

  /// What is summed, each over rows times weight.
  enum Sum : std::size_t { kWeight, kLoss, kPrediction, kLabel, kSquaredError, kAbsoluteError, kCorrect, kSumCount };

  MetricSettings settings_;
  std::int64_t rows_ = 0;
  std::int64_t bad_outputs_ = 0;
  bool soft_labels_ = false;  ///< some label is neither 0 nor 1
  std::vector<ValueRange> outputs_;  ///< by column
  ValueRange labels_;
  std::array<ExactSum, kSumCount> sums_;
  std::vector<std::uint64_t> kept_;  ///< see ranking.h: ordered logit, label and weight in one word
};

}  // namespace rechost
