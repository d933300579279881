#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "config/sections.h"
#include "embedding/row_speed.h"
#include "train/model_runtime.h"
#include "train/run_data.h"

namespace rechost {

/// What a step reads and writes of one table, on average over some batches of the training data.
struct TableTraffic {
  double ids = 0.0;       ///< read, repetitions included
  double distinct = 0.0;  ///< rows
  double lookup = 0.0;    ///< seconds, predicted
  double update = 0.0;
  // Of a table in a file; they are part of `lookup`:
  double misses = 0.0;   ///< rows that are expected not to be cached
  double file = 0.0;     ///< seconds, predicted, when the pages of all of them come from the disk
  FileRowSpeed file_speed;
};

/// How long a training step of this process will take, and why. Exchange with other ranks is not in it.
struct StepPlan {
  std::int64_t samples = 0;  ///< of this process's part of a batch
  // Seconds of the step thread:
  double lookup = 0.0;
  double model = 0.0;   ///< forward, backward and losses
  double update = 0.0;  ///< of tables and dense parameters
  double other = 0.0;
  /// Seconds of a reader thread for a batch: gathering it and preparing its ids, beside the step thread.
  double data = 0.0;
  double seconds = 0.0;    ///< of the whole step
  std::string_view bound;  ///< what makes it so long: "data", "lookup", "model", "update", "other"
  std::vector<TableTraffic> tables;

  double compute() const { return lookup + model + update + other; }
};

struct StepPlanSettings {
  int ranks = 1;
  int cores = 1;  ///< of this process
  /// Of rows of `dim` values under that rule.
  std::function<const RowSpeed&(const RowKind& kind)> row_speed;
  /// Of such rows in a file.
  std::function<FileRowSpeed(const RowKind& kind, const std::filesystem::path& directory)> file_row_speed;
};

/// Takes some seconds: the plugin computes steps on the first batches of the training data, since what happens inside it nobody else can know; the
/// readers read as they will in training; what tables cost follows from the rows that these batches touch and from `row_speed`. `model`: made with
/// planned_tables; its parameters stay as they are.
StepPlan plan_step(const Config& config, const RunData& data, ModelRuntime& model, const StepPlanSettings& settings);

}  // namespace rechost
