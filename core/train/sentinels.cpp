#include "train/sentinels.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"

namespace rechost {
namespace {

/// Fewer rows say nothing about a model or a table.
constexpr std::int64_t kFewestRows = 20;
/// A mean of fewer norms is no measure for the next one.
constexpr std::int64_t kFewestNorms = 5;
/// One batch without a gradient may be chance (all its rectifiers off), two intervals are not.
constexpr std::int64_t kZeroNorms = 2;

/// Below it no rule moves a float32 parameter: not even Adam, which divides by the gradient's size plus eps. A saturated output leaves about 1e-32.
constexpr double kVanishedNorm = 1e-12;

std::string head_text(const std::string& prefix) { return prefix.empty() ? "" : fmt::format(" of head {}", prefix.substr(0, prefix.size() - 1)); }

std::string since_text(std::int64_t step, std::int64_t since) { return since == step ? fmt::format("at step {}", step) : fmt::format("from step {} to step {}", since, step); }

/// As a linear logit or value; a head's link function is not this file's.
std::string number(double value) { return fmt::format("{:.6g}", value); }

}  // namespace

Json SentinelFinding::to_json() const {
  Json json = Json::object();
  json["sentinel"] = sentinel;
  json["subject"] = subject;
  json["step"] = step;
  json["since_step"] = since_step;
  json["text"] = text;
  return json;
}

Sentinels::Sentinels(const SentinelsSection& settings, std::function<void(const SentinelFinding&)> tell) : settings_(settings), tell_(std::move(tell)) {}

void Sentinels::find(SentinelFinding finding) {
  if (!told_.insert(finding.sentinel + " " + finding.subject).second) return;
  findings_.push_back(finding);
  tell_(finding);
  if (settings_.action == "fail") fail("{} (sentinels.action = \"fail\")", finding.text);
}

void Sentinels::watch_label(std::size_t column, std::string name) {
  if (on()) labels_.push_back({column, std::move(name), {}});
}

void Sentinels::look_at_labels(const Batch& batch) {
  if (labels_.empty()) return;
  const std::size_t columns = batch.rows == 0 ? 0 : batch.labels.size() / static_cast<std::size_t>(batch.rows);
  for (Label& label : labels_) {
    for (std::size_t i = label.column; i < batch.labels.size() && label.range.spread() == 0.0; i += columns) label.range.add(batch.labels[i]);
  }
  label_samples_ += batch.rows;
}

void Sentinels::judge_labels(std::int64_t step, bool whole, Communicator& communicator) {
  if (labels_.empty()) return;
  std::vector<ValueRange> ranges;
  for (const Label& label : labels_) ranges.push_back(label.range);
  std::int64_t samples = label_samples_;
  if (communicator.world_size() > 1) {
    std::vector<std::byte> own(sizeof(samples) + ranges.size() * sizeof(ValueRange));
    std::memcpy(own.data(), &samples, sizeof(samples));
    std::memcpy(own.data() + sizeof(samples), ranges.data(), ranges.size() * sizeof(ValueRange));
    samples = 0;
    for (const std::vector<std::byte>& packet : gather_packets(communicator, own)) {
      std::int64_t of_rank = 0;
      std::vector<ValueRange> received(ranges.size());
      std::memcpy(&of_rank, packet.data(), sizeof(of_rank));
      std::memcpy(received.data(), packet.data() + sizeof(of_rank), received.size() * sizeof(ValueRange));
      samples += of_rank;
      for (std::size_t i = 0; i < ranges.size(); ++i) ranges[i].add(received[i]);
    }
  }
  std::vector<Label> open;
  for (std::size_t i = 0; i < labels_.size(); ++i) {
    if (ranges[i].spread() > 0.0) continue;
    if (ranges[i].empty() || (samples < settings_.one_class_samples && !whole) || samples < kFewestRows) {
      open.push_back(labels_[i]);
      continue;
    }
    find({"one_class_labels", "train " + labels_[i].name, step, 1,
          fmt::format("label {} is {} in all {} training samples up to step {}: there is nothing to learn. Check the column that the label is read from, filters on the "
                      "data and data.shuffle",
                      labels_[i].name, number(ranges[i].least), samples, step)});
  }
  labels_ = std::move(open);
}

void Sentinels::look_at_gradient(std::int64_t step, std::optional<double> norm) {
  if (!on() || !norm || !std::isfinite(*norm)) return;  // what is not finite ends the run in the next step
  if (*norm <= kVanishedNorm) {
    if (zero_norms_++ == 0) zero_since_ = step;
    if (zero_norms_ < kZeroNorms) return;
    find({"vanished_gradient", "dense", step, zero_since_,
          fmt::format("the gradients of all dense parameters have vanished (norm {}) {}: the model does not learn. Check that rectifiers are alive and outputs not "
                      "saturated (lower optimizer.dense.lr, other initial values), and that labels differ",
                      number(*norm), since_text(step, zero_since_))});
    return;
  }
  zero_norms_ = 0;
  const double usual = std::exp(log_norms_ / static_cast<double>(std::max<std::int64_t>(norms_, 1)));
  if (norms_ >= kFewestNorms && *norm > settings_.gradient_norm_factor * usual) {
    find({"exploding_gradient", "dense", step, step,
          fmt::format("the norm of the dense gradients is {} at step {}, {} times what it was before ({}): set regularization.clip_norm, lower optimizer.dense.lr or add "
                      "schedule.warmup_steps, and look for outliers in dense features",
                      number(*norm), step, number(std::floor(*norm / usual)), number(usual))});
  }
  log_norms_ += std::log(*norm);
  ++norms_;
}

void Sentinels::judge_auc(std::int64_t step, const std::string& head, const AucCourse& course) {
  find({"auc_stuck", "auc" + head_text(head), step, course.since_step,
        fmt::format("the AUC{} is {:.4f} {}, {} evaluations: no better than chance. Check that the label belongs to its row, that features are read (rechost data stats), and the "
                    "learning rates",
                    head_text(head), course.last, since_text(step, course.since_step), course.stuck)});
}

void Sentinels::look_at_evaluation(std::int64_t step, const std::string& split, const MetricReport& metrics) {
  if (!on()) return;
  for (const HeadRanges& head : metrics.ranges) {
    const std::string subject = split + head_text(head.prefix);
    if (head.rows < kFewestRows) continue;
    if (!head.labels.empty() && head.labels.spread() == 0.0) {
      find({"one_class_labels", subject, step, step,
            fmt::format("the labels{} of split {} are all {}: AUC is undefined there, and no metric tells models apart. Check data.split and the column that the label is read from",
                        head_text(head.prefix), split, number(head.labels.least))});
    }
    const ValueRange& first = head.outputs.front();
    // Outputs of rows that are the same may differ in the last bit, by where in a batch they stood.
    const double least_spread = settings_.constant_spread * std::max(1.0, std::abs(static_cast<double>(first.least)));
    if (first.empty() || head.output_spread() > least_spread) {
      constant_since_.erase(subject);
    } else {
      const std::int64_t since = constant_since_.try_emplace(subject, step).first->second;
      find({"constant_predictions", subject, step, since,
            fmt::format("the model{} gives all {} rows of split {} the same output, {}, {}: it ignores its inputs. Check optimizer.dense.lr and optimizer.sparse.lr (too high a rate "
                        "kills rectifiers), initial values and that features are not constant",
                        head_text(head.prefix), head.rows, split, number(first.least), since_text(step, since))});
    }
    const std::optional<double> auc = metrics.value(head.prefix + "auc");
    if (!auc) continue;
    AucCourse& course = auc_[head.prefix];
    ++course.evaluations;
    course.last = *auc;
    if (std::abs(*auc - 0.5) > settings_.auc_margin) {
      course.stuck = 0;
      continue;
    }
    if (course.stuck++ == 0) course.since_step = step;
    if (course.stuck >= settings_.auc_evaluations) judge_auc(step, head.prefix, course);
  }
}

void Sentinels::finish(std::int64_t step) {
  if (!on()) return;
  for (const auto& [head, course] : auc_) {
    if (course.stuck > 0 && course.stuck == course.evaluations) judge_auc(step, head, course);
  }
}

void Sentinels::look_at_tables(std::int64_t step, std::span<const TableFacts> tables) {
  if (!on()) return;
  for (const TableFacts& table : tables) {
    const std::string sample = table.looked_at < table.rows ? fmt::format(" (in a sample of {} rows)", table.looked_at) : "";
    const std::int64_t touched = table.touched.value_or(0);
    const std::int64_t dead = table.without_gradient + table.shrunk;
    const std::int64_t read = touched + table.without_gradient;
    if (dead >= kFewestRows && static_cast<double>(dead) > settings_.dead_share * static_cast<double>(read)) {
      find({"dead_rows", table.name, step, step,
            fmt::format("table {}: of {} rows{} that training reads {} are dead at step {}: {} without a gradient in a whole epoch, {} shrunk to a norm of at most {}. Check the initial "
                        "values (tables.{}.init), optimizer.sparse and regularization.l2_sparse",
                        table.name, read, sample, dead, step, table.without_gradient, table.shrunk, number(settings_.dead_norm), table.name)});
    }
    if (table.exploding > 0) {
      find({"exploding_rows", table.name, step, step,
            fmt::format("table {}: {} rows{} have a norm beyond {} at step {}, the largest is row {} with {} (median {}). Lower tables.{}.lr or optimizer.sparse.lr, or set "
                        "regularization.l2_sparse or regularization.clip_value",
                        table.name, table.exploding, sample, number(settings_.exploding_norm), step, table.largest_row, number(table.largest_norm), number(table.median_norm), table.name)});
    }
  }
}

Json Sentinels::to_json() const {
  Json state = Json::object();
  state["told"] = told_;
  state["findings"] = Json::array();
  for (const SentinelFinding& finding : findings_) state["findings"].push_back(finding.to_json());
  state["auc"] = Json::object();
  for (const auto& [head, course] : auc_) state["auc"][head] = {course.evaluations, course.stuck, course.since_step, course.last};
  state["constant_since"] = constant_since_;
  state["gradient"] = {norms_, log_norms_, zero_norms_, zero_since_};
  return state;
}

void Sentinels::restore(const Json& state) {
  told_ = state.at("told").get<std::set<std::string>>();
  findings_.clear();
  for (const Json& finding : state.at("findings")) {
    findings_.push_back({finding.at("sentinel"), finding.at("subject"), finding.at("step"), finding.at("since_step"), finding.at("text")});
  }
  for (const auto& [head, course] : state.at("auc").items()) {
    auc_[head] = {course.at(0), course.at(1), course.at(2), course.at(3)};
  }
  constant_since_ = state.at("constant_since").get<std::map<std::string, std::int64_t>>();
  const Json& gradient = state.at("gradient");
  norms_ = gradient.at(0);
  log_norms_ = gradient.at(1);
  zero_norms_ = gradient.at(2);
  zero_since_ = gradient.at(3);
}

}  // namespace rechost
