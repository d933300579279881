// Where a training step's time goes: waiting for data, rows of tables into blocks, the plugin's forward and backward, updates. Models of the
// shipped kind on synthetic data in memory, one thread and all threads. A table goes to standard error, the same as JSON lines to standard
// output. --quick: fewer steps. There is no peer to compare with: --peers says so.

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "app/environment.h"
#include "app/setup.h"
#include "base/host.h"
#include "base/json.h"
#include "train/trainer.h"

namespace {

using namespace rechost;
using namespace rechost::app;

class Silent : public TrainingObserver {
 public:
  void on_step(const StepReport&) override {}
  void on_interval(const IntervalReport&) override {}
  void on_evaluation(const EvaluationReport&) override {}
  void on_checkpoint(std::int64_t, const std::filesystem::path&, double) override {}
};

struct Case {
  std::string name;
  std::string plugin;
  std::vector<std::string> settings;
};

/// 26 one-hot features and 13 numbers, as in Criteo, but with tables that fit into any machine.
std::vector<std::string> criteo_like(std::int64_t batch, std::int64_t steps) {
  return {"data.plugin=\"synthetic\"", "data.dense=13", "data.sparse=26", "data.cardinality=[40000]", fmt::format("data.rows={}", batch * steps),
          "data.valid_rows=0", "data.test_rows=0", fmt::format("data.batch_size={}", batch), "checkpoint.final=false",
          "model.embedding_dim=16", "optimizer.dense.kind=\"adagrad\"", "optimizer.dense.lr=0.01"};
}

void measure(const Case& wanted, int threads) {
  std::vector<std::string> settings = wanted.settings;
  settings.push_back(fmt::format("model.plugin=\"{}\"", wanted.plugin));
  settings.push_back(fmt::format("run.threads={}", threads));
  Setup setup = load_setup(requested_config(std::nullopt, {}, settings));
  const RunData data = open_run_data(setup.config, std::move(setup.loader), {}, *setup.pool);
  const auto model = build_model(setup, data, data.prepared.train.get(), true);
  Silent silent;
  std::atomic<bool> stop{false};
  Trainer::Parts parts;
  parts.config = &setup.config;
  parts.data = &data;
  parts.model = model.get();
  parts.observer = &silent;
  parts.pool = setup.pool.get();
  parts.stop = &stop;
  const TrainingResult result = Trainer(std::move(parts)).run();
  const auto steps = static_cast<double>(result.steps);
  const auto micro = [&](double seconds) { return 1e6 * seconds / steps; };
  const double other = result.seconds - result.wait_seconds - result.times.lookup - result.times.model - result.times.update;
  const double rate = static_cast<double>(result.samples_here) / result.seconds;
  std::fputs(fmt::format("{:<28} {:>7} {:>12.0f} {:>10.0f} {:>10.0f} {:>10.0f} {:>10.0f} {:>10.0f} {:>10.0f}\n", wanted.name, threads, rate,
                         micro(result.seconds), micro(result.wait_seconds), micro(result.times.lookup), micro(result.times.model),
                         micro(result.times.update), micro(other))
                 .c_str(),
             stderr);
  Json line = Json::object();
  line["case"] = wanted.name;
  line["threads"] = threads;
  line["samples_per_second"] = rate;
  line["step_us"] = micro(result.seconds);
  line["data_us"] = micro(result.wait_seconds);
  line["lookup_us"] = micro(result.times.lookup);
  line["model_us"] = micro(result.times.model);
  line["update_us"] = micro(result.times.update);
  line["other_us"] = micro(other);
  std::fputs((json_line(line) + "\n").c_str(), stdout);
}

}  // namespace

int main(int argc, char** argv) {
  bool quick = false;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--quick") {
      quick = true;
    } else if (argument == "--peers") {
      std::fputs("no peer breaks its step down like this; bench_embedding and bench_data compare with peers\n", stderr);
    } else {
      std::fputs("bench_step_time [--quick] [--peers]: where a training step's time goes\n", stderr);
      return argument == "--help" ? 0 : 2;
    }
  }
  try {
    std::fputs(fmt::format("{:<28} {:>7} {:>12} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10}\n", "case", "threads", "samples/s", "step us", "data us",
                           "lookup us", "model us", "update us", "other us")
                   .c_str(),
               stderr);
    for (const std::int64_t batch : {128, 2048, 8192}) {
      const std::int64_t steps = std::max<std::int64_t>((quick ? 50'000 : 400'000) / batch, 10);
      std::vector<Case> cases;
      auto dlrm = criteo_like(batch, steps);
      dlrm.insert(dlrm.end(), {"model.bottom_mlp=[512, 256, 64, 16]", "model.top_mlp=[512, 256]"});
      cases.push_back({fmt::format("dlrm 512-256, B {}", batch), "dlrm", dlrm});
      cases.push_back({fmt::format("deepfm, B {}", batch), "deepfm", criteo_like(batch, steps)});
      cases.push_back({fmt::format("two_tower 128-64, B {}", batch), "two_tower", criteo_like(batch, steps)});
      for (const Case& wanted : cases) {
        measure(wanted, 1);
        if (usable_cores() > 1) measure(wanted, usable_cores());
      }
    }
  } catch (const std::exception& error) {
    std::fputs(fmt::format("error: {}\n", error.what()).c_str(), stderr);
    return 1;
  }
  return 0;
}
