#pragma once

#include <cstdio>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "app/setup.h"
#include "base/json.h"
#include "bench/loading/report.h"
#include "bench/train/cases.h"
#include "bench/train/silent_training.h"
#include "data/pipeline.h"
#include "train/memory_plan.h"
#include "train/model_checkpoint.h"

namespace rechost::bench {

/// A model of ours with its data, trained a number of steps at a time as `rechost run` does it.
class OurTraining {
 public:
  OurTraining(const std::string& plugin, std::vector<std::string> settings, int threads) {
    settings.push_back(fmt::format("model.plugin=\"{}\"", plugin));
    settings.push_back(fmt::format("run.threads={}", threads));
    setup_ = app::load_setup(app::requested_config(std::nullopt, {}, settings));
    data_ = open_run_data(setup_.config, std::move(setup_.loader), {}, *setup_.pool);
    model_ = app::build_model(setup_, data_, data_.prepared.train.get(), true);
  }

  /// 0: as many as an epoch has.
  TrainingResult train(std::int64_t steps) {
    setup_.config.run.steps = steps;
    return train_silently(setup_, data_, *model_);
  }

  /// Bytes, as `rechost plan` says it.
  double planned_memory() const { return static_cast<double>(plan_memory(setup_.config, data_, *model_).total()); }

  /// Returns the checkpoint's directory.
  std::filesystem::path save(const std::filesystem::path& checkpoints) {
    return save_model_checkpoint(checkpoints, *model_, *data_.prepared.vocabularies, {.position = {.step = 1, .seed = 1}});
  }
  void load(const std::filesystem::path& checkpoint) { load_model_checkpoint(CheckpointReader(checkpoint), *model_, true); }

  std::vector<std::int64_t> table_rows() const {
    std::vector<std::int64_t> rows;
    for (const FeatureInfo& feature : data_.prepared.plan->schema.sparse) rows.push_back(data_.prepared.vocabularies->at(feature.table).rows());
    return rows;
  }

  /// The batches of an epoch, one after the other: dense [batch, dense] float32, labels [batch] float32, ids [sparse, batch] int32.
  void write_batches(const std::string& path) const {
    const SampleOrder order = training_order(setup_.config, data_.prepared.train->streams());
    BatchPipeline pipeline(*data_.prepared.train, order, {.end_step = order.steps_per_epoch()});
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    const auto write = [&file](const auto& values) {
      file.write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(values[0])));
    };
    Batch batch;
    while (pipeline.next(batch)) {
      write(batch.dense);
      write(batch.labels);
      for (const IdColumn& column : batch.sparse) write(column.ids);
    }
    file.close();
    if (!file) fail("{} cannot be written", path);
  }

 private:
  app::Setup setup_;
  RunData data_;
  std::unique_ptr<ModelRuntime> model_;
};

/// Our side of the comparison, in a process of its own like the peers: answers each line of JSON on standard input with one, until the end.
/// {"kind": "open", "case", "path"} makes the model and writes its batches; {"kind": "train", "steps"} times steps, with all that prepares
/// their batches.
inline void serve_our_side(int threads) {
  std::unique_ptr<OurTraining> training;
  std::string line;
  while (std::getline(std::cin, line)) {
    Json answer = Json::object();
    try {
      const Json request = Json::parse(line);
      if (request.at("kind") == "open") {
        training.reset();
        const TrainCase wanted = train_case(request.at("case").get<std::string>());
        training = std::make_unique<OurTraining>(wanted.plugin, wanted.settings, threads);
        training->write_batches(request.at("path").get<std::string>());
        answer["rows"] = training->table_rows();
      } else {
        TrainingResult result;
        const auto steps = request.at("steps").get<std::int64_t>();
        const Round round = time_round([&] {
          result = training->train(steps);
          return steps;
        });
        answer["processor_seconds"] = round.processor_seconds;
        answer["wall_seconds"] = round.wall_seconds;
        answer["lookup"] = result.times.lookup;
        answer["model"] = result.times.model;
        answer["update"] = result.times.update;
        answer["wait"] = result.wait_seconds;
      }
    } catch (const std::exception& error) {
      answer["error"] = error.what();
    }
    std::fputs((json_line(answer) + "\n").c_str(), stdout);
    std::fflush(stdout);
  }
}

}  // namespace rechost::bench
