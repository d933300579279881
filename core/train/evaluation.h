#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/thread_pool.h"
#include "config/sections.h"
#include "data/catalogue.h"
#include "data/dataset.h"
#include "train/metrics.h"
#include "train/model_runtime.h"

namespace rechost {

/// Measures a model on a split: metrics of every head that has a label, and retrieval metrics when the model has user and item vectors.
/// Keeps what does not change between evaluations (catalogues, lists of seen items), so make one per run and split.
class Evaluator {
 public:
  /// `train` names what users have seen and what there is to recommend; null: no retrieval metrics. All are borrowed.
  Evaluator(const Config& config, const Dataset& split, const Dataset* train, ModelRuntime& model, ThreadPool& pool);
  ~Evaluator();

  /// The training thread; the model's weights stay as they are. All ranks together: each predicts a part, and all get the same report.
  MetricReport run();

  /// The metric that the run watches when the configuration names none; empty: there is nothing to watch.
  std::string default_metric() const;

 private:
  struct Retrieval;
  void score_heads(MetricReport& report);
  void rank_catalogue(MetricReport& report);
  void rank_candidates(MetricReport& report);

  const Config& config_;
  const Dataset& split_;
  ModelRuntime& model_;
  ThreadPool& pool_;
  std::unique_ptr<Retrieval> retrieval_;
};

/// Whether a higher value of the metric is the better one.
bool higher_is_better(std::string_view metric);

}  // namespace rechost
