#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "embedding/keyed_rows.h"
#include "train/metrics.h"
#include "train/sentinels.h"

namespace rechost {

/// One finished step.
struct StepReport {
  std::int64_t step = 0;         ///< from 1
  std::int64_t total_steps = 0;
  std::int64_t epoch = 0;        ///< from 0
  std::int64_t samples = 0;      ///< of this step
  double loss = 0.0;             ///< of this step's batch
  double seconds = 0.0;          ///< since training began in this process
  double wait_seconds = 0.0;     ///< of those, waiting for data
  std::int64_t steps_here = 0;   ///< steps of this process
  std::int64_t samples_here = 0; ///< samples of this process
};

/// Mean over the steps since the last one: the loss curve.
struct IntervalReport {
  std::int64_t step = 0;
  std::int64_t epoch = 0;
  double loss = 0.0;
  double lr_factor = 1.0;
  std::optional<double> gradient_norm;  ///< of all dense parameters together in the last step, after clip_value; nothing: there are none
  std::vector<const KeyedRows*> dynamic_tables;  ///< as of this step; borrowed for the call
  std::optional<double> sent_bytes;      ///< by this rank in a step, mean; nothing: it is alone
  std::optional<double> received_bytes;
};

struct EvaluationReport {
  std::string split;
  std::int64_t step = 0;
  std::int64_t epoch = 0;
  const MetricReport* metrics = nullptr;
  std::string watched;               ///< name of the metric that the run watches; empty: none
  bool best = false;                 ///< best so far
  std::optional<double> best_auc;    ///< best that any model can reach on this split
  double seconds = 0.0;
};

/// Whoever wants to know how training goes: the terminal, the run directory, trackers. All calls come from the training thread.
class TrainingObserver {
 public:
  virtual ~TrainingObserver() = default;
  virtual void on_step(const StepReport& report) = 0;
  virtual void on_interval(const IntervalReport& report) = 0;
  virtual void on_evaluation(const EvaluationReport& report) = 0;
  virtual void on_checkpoint(std::int64_t step, const std::filesystem::path& checkpoint, double seconds) = 0;
  /// Once for each; whoever does not show warnings need not care.
  virtual void on_finding(const SentinelFinding& /*finding*/) {}
};

}  // namespace rechost
