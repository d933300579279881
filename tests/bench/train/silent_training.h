#pragma once

#include <atomic>
#include <filesystem>
#include <utility>

#include "app/setup.h"
#include "train/trainer.h"

namespace rechost::bench {

class Silent : public TrainingObserver {
 public:
  void on_step(const StepReport&) override {}
  void on_interval(const IntervalReport&) override {}
  void on_evaluation(const EvaluationReport&) override {}
  void on_checkpoint(std::int64_t, const std::filesystem::path&, double) override {}
};

/// Trains as `rechost run` does, without telling anybody.
inline TrainingResult train_silently(const app::Setup& setup, const RunData& data, ModelRuntime& model) {
  Silent silent;
  std::atomic<bool> stop{false};
  Trainer::Parts parts;
  parts.config = &setup.config;
  parts.data = &data;
  parts.model = &model;
  parts.observer = &silent;
  parts.pool = setup.pool.get();
  parts.stop = &stop;
  return Trainer(std::move(parts)).run();
}

}  // namespace rechost::bench
