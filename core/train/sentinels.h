#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "comm/communicator.h"
#include "config/sections.h"
#include "data/batch.h"
#include "train/metrics.h"
#include "train/table_survey.h"

namespace rechost {

/// Something that looks as if training were broken.
struct SentinelFinding {
  std::string sentinel;  ///< which: "constant_predictions", "auc_stuck", "one_class_labels", "vanished_gradient", "exploding_gradient", "dead_rows", "exploding_rows"
  std::string subject;   ///< a split, head, label or table
  std::int64_t step = 0;        ///< when it was found
  std::int64_t since_step = 0;  ///< since when it has been so, as far as it was looked at
  std::string text;             ///< one line: what was seen, since when, what to check

  Json to_json() const;
};

/// Watches a run for what a loss curve does not show. Each finding is told once for its subject. Looks at what is there anyway: metrics of
/// evaluations, one gradient norm an interval, the rows of tables when an evaluation stops training anyway; a step pays for it only until its labels
/// were seen to differ. All ranks watch the same figures and come to the same findings.
class Sentinels {
 public:
  /// `tell` hears of each finding, before it is thrown as an Error where settings.action is "fail".
  Sentinels(const SentinelsSection& settings, std::function<void(const SentinelFinding&)> tell);

  bool on() const { return settings_.action != "off"; }

  /// A label column of the training data that some head learns.
  void watch_label(std::size_t column, std::string name);
  /// Of this rank's part of a step.
  void look_at_labels(const Batch& batch);
  /// Judges what all ranks have seen; all together. `whole`: all the labels that there are have been seen.
  void judge_labels(std::int64_t step, bool whole, Communicator& communicator);

  /// The global norm of the dense parameters' gradients in one step; nothing: there are no dense parameters.
  void look_at_gradient(std::int64_t step, std::optional<double> norm);

  void look_at_evaluation(std::int64_t step, const std::string& split, const MetricReport& metrics);

  void look_at_tables(std::int64_t step, std::span<const TableFacts> tables);

  /// Run over: what takes several evaluations is judged by those that there were.
  void finish(std::int64_t step);

  const std::vector<SentinelFinding>& findings() const { return findings_; }

  /// What must survive a kill: a warning that was given is not given again, and counting goes on.
  Json to_json() const;
  void restore(const Json& state);

 private:
  struct Label {
    std::size_t column = 0;
    std::string name;
    ValueRange range;  ///< of this rank's samples
  };
  /// Evaluations of one head.
  struct AucCourse {
    std::int64_t evaluations = 0;
    std::int64_t stuck = 0;       ///< the last so many
    std::int64_t since_step = 0;  ///< the first of them
    double last = 0.0;
  };

  void find(SentinelFinding finding);
  void judge_auc(std::int64_t step, const std::string& head, const AucCourse& course);

  const SentinelsSection settings_;
  std::function<void(const SentinelFinding&)> tell_;
  std::vector<SentinelFinding> findings_;
  std::set<std::string> told_;
  std::vector<Label> labels_;  ///< those whose values have not been seen to differ
  std::int64_t label_samples_ = 0;
  std::map<std::string, AucCourse> auc_;                         ///< by head
  std::map<std::string, std::int64_t> constant_since_;           ///< by split and head
  std::int64_t norms_ = 0;                                       ///< intervals with a gradient
  double log_norms_ = 0.0;                                       ///< sum of the logarithms of their norms
  std::int64_t zero_norms_ = 0;                                  ///< the last so many intervals had next to no gradient
  std::int64_t zero_since_ = 0;
};

}  // namespace rechost
