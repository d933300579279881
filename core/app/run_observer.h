#pragma once

#include <chrono>
#include <memory>

#include "app/run_tracker.h"
#include "config/sections.h"
#include "data/prepare.h"
#include "tracking/run_directory.h"
#include "tracking/tensorboard_writer.h"
#include "train/observer.h"

namespace rechost::app {

/// Shows training on standard error, writes it into the run directory and tells the tracker. On a terminal one line that renews itself,
/// elsewhere a plain line per interval.
class RunObserver : public TrainingObserver {
 public:
  /// `first_step` > 0: resumed there.
  RunObserver(const Config& config, RunDirectory& directory, RunTracker& tracker, std::int64_t first_step, const PreparedData& data);

  void on_step(const StepReport& report) override;
  void on_interval(const IntervalReport& report) override;
  void on_evaluation(const EvaluationReport& report) override;
  void on_checkpoint(std::int64_t step, const std::filesystem::path& checkpoint, double seconds) override;
  void on_finding(const SentinelFinding& finding) override;

 private:
  using Clock = std::chrono::steady_clock;

  const Config& config_;
  RunDirectory& directory_;
  RunTracker& tracker_;
  TensorBoardWriter tensorboard_;
  const std::int64_t bad_rows_;  ///< left out of the data
  const double unseen_share_;    ///< the largest of a feature, where it is beyond what training had; else 0
  bool terminal_;
  Clock::time_point last_shown_;
  double shown_loss_ = 0.0;  ///< sum since the last line
  std::int64_t shown_steps_ = 0;
  std::string last_metric_;
};

/// "auc 0.7931, log_loss 0.4412": the metrics that a line has room for.
std::string metrics_text(const MetricReport& metrics);

}  // namespace rechost::app
