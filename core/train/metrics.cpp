#include "train/metrics.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <iterator>

#include "base/error.h"
#include "train/ranking.h"

namespace rechost {
namespace {

constexpr std::int64_t kReliabilityBins = 20;

constexpr std::string_view kBinaryNames[] = {"log_loss", "normalized_entropy", "auc",
                                             "accuracy", "calibration",        "expected_calibration_error",
                                             "rmse",     "mean_prediction",    "mean_label"};
constexpr std::string_view kMulticlassNames[] = {"log_loss", "accuracy"};
constexpr std::string_view kRegressionNames[] = {"rmse", "mae", "mean_prediction", "mean_label"};

std::span<const std::string_view> names_of(MetricTask task) {
  switch (task) {
    case MetricTask::kMulticlass:
      return kMulticlassNames;
    case MetricTask::kRegression:
      return kRegressionNames;
    case MetricTask::kBinary:
    case MetricTask::kMultilabel:
      break;
  }
  return kBinaryNames;
}

double entropy(double rate) { return -(rate * std::log(rate) + (1.0 - rate) * std::log1p(-rate)); }

}  // namespace

const MetricValue* MetricReport::find(std::string_view name) const {
  const auto found = std::find_if(values.begin(), values.end(), [&](const MetricValue& value) { return value.name == name; });
  return found == values.end() ? nullptr : &*found;
}

std::optional<double> MetricReport::value(std::string_view name) const {
  const MetricValue* found = find(name);
  return found == nullptr ? std::nullopt : found->value;
}

double HeadRanges::output_spread() const {
  double widest = 0.0;
  for (const ValueRange& column : outputs) widest = std::max(widest, column.spread());
  return widest;
}

void MetricReport::append(MetricReport other) {
  std::move(other.values.begin(), other.values.end(), std::back_inserter(values));
  std::move(other.reliability.begin(), other.reliability.end(), std::back_inserter(reliability));
  std::move(other.ranges.begin(), other.ranges.end(), std::back_inserter(ranges));
}

Json MetricReport::values_json() const {
  Json json = Json::object();
  for (const MetricValue& value : values) {
    if (value.value) json[value.name] = *value.value;
  }
  return json;
}

Json MetricReport::reasons_json() const {
  Json json = Json::object();
  for (const MetricValue& value : values) {
    if (!value.value) json[value.name] = value.reason;
  }
  return json;
}

Json MetricReport::reliability_json() const {
  Json tables = Json::array();
  for (const auto& [prefix, bins] : reliability) {
    Json list = Json::array();
    for (const ReliabilityBin& bin : bins) {
      list.push_back({{"mean_prediction", bin.mean_prediction}, {"mean_label", bin.mean_label}, {"weight", bin.weight}, {"rows", bin.rows}});
    }
    // The prefix of names ends with a dot.
    tables.push_back({{"head", prefix.substr(0, prefix.empty() ? 0 : prefix.size() - 1)}, {"bins", std::move(list)}});
  }
  return tables;
}

MetricAccumulator::MetricAccumulator(MetricSettings settings) : settings_(std::move(settings)), outputs_(static_cast<std::size_t>(std::max<std::int64_t>(settings_.width, 0))) {
  const bool wide = settings_.task == MetricTask::kMulticlass || settings_.task == MetricTask::kMultilabel;
  if (settings_.width < 1 || (!wide && settings_.width != 1)) fail("metrics: a head of this task cannot have width {}", settings_.width);
}

void MetricAccumulator::add(std::span<const float> outputs, std::span<const float> labels, std::span<const float> weights) {
  const auto width = static_cast<std::size_t>(settings_.width);
  const std::size_t rows = outputs.size() / width;
  const std::size_t label_count = settings_.task == MetricTask::kMulticlass ? rows : outputs.size();
  if (outputs.size() != rows * width || labels.size() != label_count || (!weights.empty() && weights.size() != rows)) {
    fail("metrics: {} outputs of width {}, {} labels and {} weights do not fit together", outputs.size(), width, labels.size(),
         weights.size());
  }
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (!(weights[i] >= 0.0f) || !std::isfinite(weights[i])) {
      fail<DataError>("weight {} in row {} of the batch: weights must be finite and not negative", weights[i], i);
    }
  }
  switch (settings_.task) {
    case MetricTask::kBinary:
    case MetricTask::kMultilabel:
      add_binary(outputs, labels, weights);
      break;
    case MetricTask::kMulticlass:
      add_multiclass(outputs, labels, weights);
      break;
    case MetricTask::kRegression:
      add_regression(outputs, labels, weights);
      break;
  }
  rows_ += static_cast<std::int64_t>(rows);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (std::isfinite(outputs[i])) outputs_[i % width].add(outputs[i]);
  }
  for (const float label : labels) labels_.add(label);
}

void MetricAccumulator::add_binary(std::span<const float> outputs, std::span<const float> labels, std::span<const float> weights) {
  const auto width = static_cast<std::size_t>(settings_.width);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const double label = labels[i];
    if (!(label >= 0.0 && label <= 1.0)) {
      fail<DataError>("label {} in row {} of the batch: a binary head needs labels from 0 to 1", label, i / width);
    }
    if (!std::isfinite(outputs[i])) {
      ++bad_outputs_;
      continue;
    }
    soft_labels_ = soft_labels_ || (label != 0.0 && label != 1.0);
    const float weight_float = weights.empty() ? 1.0f : weights[i / width];
    const double weight = weight_float;
    const double logit = outputs[i];
    // log(1 + exp(-|z|)) does not overflow, and keeps its digits where the loss is small.
    const double e = std::exp(-std::abs(logit));
    const double probability = logit >= 0.0 ? 1.0 / (1.0 + e) : e / (1.0 + e);
    const double error = probability - label;
    sums_[kWeight].add(weight);
    sums_[kLoss].add(weight * (std::max(logit, 0.0) - logit * label + std::log1p(e)));
    sums_[kPrediction].add(weight * probability);
    sums_[kLabel].add(weight * label);
    sums_[kSquaredError].add(weight * error * error);
    if ((logit > 0.0) == (label >= 0.5)) sums_[kCorrect].add(weight);
    if (settings_.keep_rows) kept_.push_back(ScoredRow::pack(outputs[i], label >= 0.5, weight_float));
  }
}

void MetricAccumulator::add_multiclass(std::span<const float> outputs, std::span<const float> labels, std::span<const float> weights) {
  const auto width = static_cast<std::size_t>(settings_.width);
  for (std::size_t row = 0; row < labels.size(); ++row) {
    const float label = labels[row];
    if (!(label >= 0.0f && label < static_cast<float>(width)) || label != std::floor(label)) {
      fail<DataError>("label {} in row {} of the batch: this head has the classes 0 to {}", label, row, width - 1);
    }
    const std::span<const float> logits = outputs.subspan(row * width, width);
    if (!std::all_of(logits.begin(), logits.end(), [](float logit) { return std::isfinite(logit); })) {
      ++bad_outputs_;
      continue;
    }
    const double weight = weights.empty() ? 1.0 : weights[row];
    const auto largest = std::max_element(logits.begin(), logits.end());
    double sum = 0.0;
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - *largest);
    const auto target = static_cast<std::size_t>(label);
    sums_[kWeight].add(weight);
    sums_[kLoss].add(weight * (std::log(sum) + *largest - logits[target]));
    if (static_cast<std::size_t>(largest - logits.begin()) == target) sums_[kCorrect].add(weight);
  }
}

void MetricAccumulator::add_regression(std::span<const float> outputs, std::span<const float> labels, std::span<const float> weights) {
  for (std::size_t row = 0; row < outputs.size(); ++row) {
    if (!std::isfinite(labels[row])) fail<DataError>("label {} in row {} of the batch: a regression needs finite labels", labels[row], row);
    if (!std::isfinite(outputs[row])) {
      ++bad_outputs_;
      continue;
    }
    const double weight = weights.empty() ? 1.0 : weights[row];
    const double error = static_cast<double>(outputs[row]) - labels[row];
    sums_[kWeight].add(weight);
    sums_[kPrediction].add(weight * outputs[row]);
    sums_[kLabel].add(weight * labels[row]);
    sums_[kSquaredError].add(weight * error * error);
    sums_[kAbsoluteError].add(weight * std::abs(error));
  }
}

void MetricAccumulator::undefined_all(MetricReport& report, const std::string& reason) const {
  for (const std::string_view metric : names_of(settings_.task)) report.values.push_back({name(metric), std::nullopt, reason});
}

MetricReport MetricAccumulator::finish() {
  MetricReport report;
  const double weight = sums_[kWeight].value();
  if (rows_ == 0) {
    undefined_all(report, "there are no rows");
  } else if (bad_outputs_ > 0) {
    undefined_all(report, fmt::format("{} outputs in {} rows are not finite", bad_outputs_, rows_));
  } else if (weight <= 0.0) {
    undefined_all(report, "all weights are 0");
  } else if (settings_.task == MetricTask::kMulticlass) {
    report.values.push_back({name("log_loss"), sums_[kLoss].value() / weight, ""});
    report.values.push_back({name("accuracy"), sums_[kCorrect].value() / weight, ""});
  } else if (settings_.task == MetricTask::kRegression) {
    report.values.push_back({name("rmse"), std::sqrt(sums_[kSquaredError].value() / weight), ""});
    report.values.push_back({name("mae"), sums_[kAbsoluteError].value() / weight, ""});
    report.values.push_back({name("mean_prediction"), sums_[kPrediction].value() / weight, ""});
    report.values.push_back({name("mean_label"), sums_[kLabel].value() / weight, ""});
  } else {
    finish_binary(report);
  }
  report.ranges.push_back({settings_.prefix, rows_, outputs_, labels_});
  return report;
}

void MetricAccumulator::finish_binary(MetricReport& report) {
  const double weight = sums_[kWeight].value();
  const double log_loss = sums_[kLoss].value() / weight;
  const double mean_prediction = sums_[kPrediction].value() / weight;
  const double mean_label = sums_[kLabel].value() / weight;
  const auto defined = [&](std::string_view metric, double value) { report.values.push_back({name(metric), value, ""}); };
  const auto undefined = [&](std::string_view metric, std::string_view reason) {
    report.values.push_back({name(metric), std::nullopt, std::string(reason)});
  };

  defined("log_loss", log_loss);
  if (mean_label > 0.0 && mean_label < 1.0) {
    defined("normalized_entropy", log_loss / entropy(mean_label));
  } else {
    undefined("normalized_entropy", mean_label > 0.0 ? "all labels are 1" : "all labels are 0");
  }
  finish_ranking(report);
  defined("accuracy", sums_[kCorrect].value() / weight);
  if (mean_label > 0.0) {
    defined("calibration", mean_prediction / mean_label);
  } else {
    undefined("calibration", "all labels are 0");
  }
  defined("rmse", std::sqrt(sums_[kSquaredError].value() / weight));
  defined("mean_prediction", mean_prediction);
  defined("mean_label", mean_label);
}

void MetricAccumulator::finish_ranking(MetricReport& report) {
  if (!settings_.keep_rows || soft_labels_) {
    const std::string reason = soft_labels_ ? "labels are not all 0 or 1" : "the scores were not kept";
    report.values.push_back({name("auc"), std::nullopt, reason});
    report.values.push_back({name("expected_calibration_error"), std::nullopt, reason});
    return;
  }
  sort_scored_rows(kept_);
  const std::optional<double> area = area_under_curve(kept_);
  std::string reason;
  if (!area) reason = sums_[kLabel].value() > 0.0 ? "all labels are 1" : "all labels are 0";
  report.values.push_back({name("auc"), area, reason});

  std::vector<ReliabilityBin> table = reliability_table(kept_, kReliabilityBins);
  double error = 0.0;
  for (const ReliabilityBin& bin : table) error += bin.weight * std::abs(bin.mean_prediction - bin.mean_label);
  report.values.push_back({name("expected_calibration_error"), error / sums_[kWeight].value(), ""});
  report.reliability.emplace_back(settings_.prefix, std::move(table));
}

void MetricAccumulator::clear() {
  rows_ = 0;
  bad_outputs_ = 0;
  soft_labels_ = false;
  outputs_.assign(outputs_.size(), ValueRange());
  labels_ = ValueRange();
  sums_.fill(ExactSum());
  kept_.clear();
}

std::vector<std::byte> MetricAccumulator::pack() const {
  // Settings first, so that merge() can tell a stranger's state.
  std::vector<std::int64_t> words{
      static_cast<std::int64_t>(settings_.task), settings_.width, settings_.keep_rows ? 1 : 0, rows_, bad_outputs_, soft_labels_ ? 1 : 0,
      static_cast<std::int64_t>(kept_.size())};
  for (const ExactSum& sum : sums_) {
    std::array<std::int64_t, ExactSum::kWords> packed;
    sum.pack(packed);
    words.insert(words.end(), packed.begin(), packed.end());
  }
  words.push_back(std::bit_cast<std::int64_t>(labels_));
  for (const ValueRange& column : outputs_) words.push_back(std::bit_cast<std::int64_t>(column));
  std::vector<std::byte> bytes((words.size() + kept_.size()) * sizeof(std::int64_t));
  std::memcpy(bytes.data(), words.data(), words.size() * sizeof(std::int64_t));
  if (!kept_.empty()) std::memcpy(bytes.data() + words.size() * sizeof(std::int64_t), kept_.data(), kept_.size() * sizeof(std::int64_t));
  return bytes;
}

void MetricAccumulator::merge(std::span<const std::byte> packed) {
  constexpr std::size_t kHeaderWords = 7;
  constexpr std::size_t kRangesBegin = kHeaderWords + kSumCount * ExactSum::kWords;
  const std::size_t fixed_words = kRangesBegin + 1 + outputs_.size();
  std::vector<std::int64_t> words(packed.size() / sizeof(std::int64_t));
  if (!packed.empty()) std::memcpy(words.data(), packed.data(), words.size() * sizeof(std::int64_t));
  if (packed.size() % sizeof(std::int64_t) != 0 || words.size() < fixed_words || words[0] != static_cast<std::int64_t>(settings_.task) ||
      words[1] != settings_.width || words[2] != (settings_.keep_rows ? 1 : 0) ||
      static_cast<std::uint64_t>(words[6]) != words.size() - fixed_words) {
    fail("metrics of another rank do not fit this head: {} bytes of state with other settings", packed.size());
  }
  rows_ += words[3];
  bad_outputs_ += words[4];
  soft_labels_ = soft_labels_ || words[5] != 0;
  for (std::size_t i = 0; i < kSumCount; ++i) {
    sums_[i].add(ExactSum::unpack(std::span(words).subspan(kHeaderWords + i * ExactSum::kWords).first<ExactSum::kWords>()));
  }
  labels_.add(std::bit_cast<ValueRange>(words[kRangesBegin]));
  for (std::size_t i = 0; i < outputs_.size(); ++i) outputs_[i].add(std::bit_cast<ValueRange>(words[kRangesBegin + 1 + i]));
  const std::size_t kept = kept_.size();
  kept_.resize(kept + words.size() - fixed_words);
  if (kept_.size() > kept) std::memcpy(kept_.data() + kept, words.data() + fixed_words, (kept_.size() - kept) * sizeof(std::int64_t));
}

}  // namespace rechost
