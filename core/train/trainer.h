#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/json.h"
#include "base/thread_pool.h"
#include "config/sections.h"
#include "train/checkpoint_store.h"
#include "train/evaluation.h"
#include "train/model_checkpoint.h"
#include "train/model_runtime.h"
#include "train/observer.h"
#include "train/run_data.h"
#include "train/sample_log.h"
#include "train/schedule.h"
#include "train/sentinels.h"
#include "train/table_survey.h"

namespace rechost {

/// How a training ended.
struct TrainingResult {
  bool stopped = false;  ///< asked to stop before the end; a checkpoint was written
  bool stopped_early = false;  ///< no improvement for eval.early_stop evaluations
  std::int64_t steps = 0;
  std::int64_t samples = 0;       ///< of the whole run, earlier parts included
  std::int64_t steps_here = 0;    ///< of this process
  std::int64_t samples_here = 0;  ///< of this process
  double seconds = 0.0;           ///< of this process, evaluations and checkpoints left out
  double wait_seconds = 0.0;
  std::uint64_t prefetch_peak_bytes = 0;  ///< of batches prepared ahead, together
  std::int64_t prefetch_held_back = 0;    ///< batches that were prepared later than they could have been, because of data.prefetch_gib
  StepTimes times;
  Traffic traffic;                        ///< of this rank's steps
  std::map<std::string, MetricReport> metrics;  ///< last evaluation by split
  std::map<std::string, double> best_auc;       ///< by split, where the data's optimum is known
  std::filesystem::path checkpoint;             ///< the last one written; empty: none
  std::vector<TableFacts> tables;               ///< at the end of a run that was not stopped; empty with sentinels.action = "off"
  std::vector<SentinelFinding> findings;
};

/// The training loop. The course of a run is a function of configuration and data alone: where it was interrupted, and how often, leaves
/// no trace in the weights or in the loss curve.
class Trainer {
 public:
  struct Parts {
    const Config* config = nullptr;
    const RunData* data = nullptr;
    ModelRuntime* model = nullptr;
    TrainingObserver* observer = nullptr;
    ThreadPool* pool = nullptr;
    SampleLog* samples = nullptr;  ///< null: not wanted
    /// Set by a signal handler: finish the step, write a checkpoint, return.
    const std::atomic<bool>* stop = nullptr;
    std::int64_t profiled_steps = 0;  ///< so many are traced, after some to warm up; 0: nothing is
    std::filesystem::path checkpoints;  ///< directory for checkpoints of this run
    std::string config_text;
    std::vector<PluginIdentity> plugins;
  };

  explicit Trainer(Parts parts);
  ~Trainer();

  /// Goes on where the checkpoint was written; its weights must have been loaded. Throws CheckpointError when no training run wrote it; that
  /// it belongs to this training is for the caller to see (training_identity()).
  void resume(const CheckpointReader& checkpoint);

  std::int64_t total_steps() const { return total_steps_; }
  std::int64_t first_step() const { return step_; }

  TrainingResult run();

 private:
  /// What must survive a kill beside weights and step.
  struct Course {
    double interval_loss = 0.0;  ///< sum of batch losses times weight since the last line of the loss curve
    double interval_weight = 0.0;
    std::optional<double> best;
    std::int64_t best_step = -1;  ///< of that evaluation; its checkpoint is kept for eval.restore_best
    std::int64_t evaluations_without_improvement = 0;

    Json to_json() const;
    void restore(const Json& state);
  };

  double lr_factor(std::int64_t step) const;
  void evaluate(const std::string& split, bool watch, TrainingResult& result);
  void write_checkpoint(TrainingResult& result);
  /// Whether there was anything to go back to.
  bool restore_best();
  void finish(TrainingResult& result);
  /// `most_rows` as in SurveySettings.
  std::vector<TableFacts> survey(std::int64_t most_rows) const;
  void watch_labels();
  CheckpointFacts facts() const;
  std::int64_t epoch_of(std::int64_t step) const;
  bool evaluation_due() const;
  void report_interval(std::int64_t first_step, std::int64_t epoch, double lr_factor);
  void trace_steps(std::int64_t first_step) const;
  Evaluator& evaluator(const std::string& split);

  Parts parts_;
  const Config& config_;
  SampleOrder order_;
  Schedule schedule_;
  std::optional<PlateauState> plateau_;
  Sentinels sentinels_;
  std::map<std::string, std::unique_ptr<Evaluator>> evaluators_;
  Course course_;
  Traffic interval_traffic_;         ///< since the last line of the loss curve ...
  std::int64_t interval_steps_ = 0;  ///< ... of this process
  std::int64_t step_ = 0;  ///< steps done
  std::int64_t total_steps_ = 0;
  std::filesystem::path newest_checkpoint_;  ///< written or resumed from; it has this run's vocabularies
  std::int64_t checkpoint_step_ = -1;  ///< of the checkpoint that holds these very weights
};

}  // namespace rechost
