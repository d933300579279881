#pragma once

#include <cstddef>
#include <string>
#include <string_view>

/// What MLflow 3 takes (mlflow/utils/validation.py).
namespace rechost {

constexpr std::size_t kMlflowBatchMetrics = 1000;
constexpr std::size_t kMlflowBatchParams = 100;
constexpr std::size_t kMlflowBatchTags = 100;
constexpr std::size_t kMlflowBatchItems = 1000;     ///< of all three together
constexpr std::size_t kMlflowBatchBytes = 900'000;  ///< of the request; MLflow's own limit is a million
constexpr std::size_t kMlflowKeyLength = 250;
constexpr std::size_t kMlflowParamLength = 6000;
constexpr std::size_t kMlflowTagLength = 5000;
constexpr std::size_t kMlflowExperimentLength = 500;

/// `name` as MLflow's key of a metric, param or tag. Letters, digits and "_-./ " stay; '@' becomes "_at_" (recall@20: recall_at_20, as MLflow's own
/// metrics are called), anything else '_'. What MLflow would take for a bad path ("a//b", "../a", a slash at an end) is mended too, and a
/// key that is too long ends in a checksum of the whole, so that two of them stay two.
std::string mlflow_key(std::string_view name);

/// A metric of metrics.jsonl, grouped as MLflow and TensorBoard show them: "valid.auc" becomes "valid/auc".
std::string mlflow_metric_key(std::string_view name);

/// The text, or as much of it as fits into `limit` characters, ending in "...". Characters are counted as MLflow does, and never cut.
std::string mlflow_value(std::string_view text, std::size_t limit);

}  // namespace rechost
