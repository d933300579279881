// How near `rechost plan` comes to what training takes: predicted over measured step time, for the shipped models at several batch sizes and
// numbers of threads, plan and training taking turns. A table goes to standard error, the same as JSON lines to standard output.
// --quick: one turn and fewer samples, a smoke test. --only WORD: cases whose name holds it. There is no peer that predicts: --peers says so.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "app/environment.h"
#include "app/machine_speed.h"
#include "app/setup.h"
#include "base/host.h"
#include "base/json.h"
#include "bench/arguments.h"
#include "bench/peers/rounds.h"
#include "bench/train/silent_training.h"
#include "bench/train/synthetic_settings.h"
#include "train/step_plan.h"

namespace {

using namespace rechost;
using namespace rechost::app;

struct Case {
  std::string name;
  std::string plugin;
  std::vector<std::string> settings;
};

std::vector<Case> cases(bool quick) {
  std::vector<Case> all;
  for (const std::int64_t batch : {128, 2048, 8192}) {
    const std::int64_t samples = std::max<std::int64_t>(batch * 20, std::min<std::int64_t>(batch * 400, quick ? 100'000 : 400'000));
    auto dlrm = bench::synthetic_settings(batch, samples);
    dlrm.insert(dlrm.end(), {"model.bottom_mlp=[512, 256, 64, 16]", "model.top_mlp=[512, 256]"});
    all.push_back({fmt::format("dlrm 512-256, B {}", batch), "dlrm", dlrm});
    all.push_back({fmt::format("deepfm, B {}", batch), "deepfm", bench::synthetic_settings(batch, samples)});
    all.push_back({fmt::format("two_tower 128-64, B {}", batch), "two_tower", bench::synthetic_settings(batch, samples)});
  }
  for (const char* shipped : {"dlrm", "deepfm", "two_tower"}) {
    all.push_back({fmt::format("configs/{}.toml", shipped), shipped, {"data.rows=262144", "data.valid_rows=0", "data.test_rows=0", "checkpoint.final=false", "sentinels.action=\"off\""}});
  }
  return all;
}

Setup set_up(const Case& wanted, int threads) {
  std::vector<std::string> settings = wanted.settings;
  settings.push_back(fmt::format("run.threads={}", threads));
  const bool shipped = wanted.name.starts_with("configs/");
  if (!shipped) settings.push_back(fmt::format("model.plugin=\"{}\"", wanted.plugin));
  return load_setup(requested_config(shipped ? std::optional(wanted.plugin) : std::nullopt, {}, settings));
}

StepPlan predict(const Setup& setup, const RunData& data) {
  const auto model = build_planned_model(setup, data, 1);
  MachineSpeed speed(*setup.pool);
  StepPlanSettings settings;
  settings.cores = usable_cores();
  settings.row_speed = [&](const RowKind& kind) -> const RowSpeed& { return speed.of_rows(kind); };
  return plan_step(setup.config, data, *model, settings);
}

/// Seconds of a step, by its parts as in StepPlan; data is what training waited for.
StepPlan measure(const Setup& setup, const RunData& data) {
  const auto model = build_model(setup, data, data.prepared.train.get(), true);
  const TrainingResult result = bench::train_silently(setup, data, *model);
  const auto steps = static_cast<double>(result.steps);
  StepPlan plan;
  plan.seconds = result.seconds / steps;
  plan.data = result.wait_seconds / steps;
  plan.lookup = result.times.lookup / steps;
  plan.model = result.times.model / steps;
  plan.update = result.times.update / steps;
  plan.other = plan.seconds - plan.data - plan.lookup - plan.model - plan.update;
  return plan;
}

void compare(const Case& wanted, int threads, int turns) {
  Setup setup = set_up(wanted, threads);
  const RunData data = open_run_data(setup.config, std::move(setup.loader), {}, *setup.pool);
  std::vector<StepPlan> predicted;
  std::vector<StepPlan> measured;
  for (int turn = 0; turn < turns; ++turn) {
    predicted.push_back(predict(setup, data));
    measured.push_back(measure(setup, data));
  }
  const auto micro = [](const std::vector<StepPlan>& plans, double StepPlan::*part) {
    bench::Rounds values;
    for (const StepPlan& plan : plans) values.add(1e6 * plan.*part);
    return values.median();
  };
  std::vector<double> ratios;
  bench::Rounds rounds;
  for (int turn = 0; turn < turns; ++turn) ratios.push_back(predicted[static_cast<std::size_t>(turn)].seconds / measured[static_cast<std::size_t>(turn)].seconds);
  for (const double ratio : ratios) rounds.add(ratio);
  const auto [least, most] = std::minmax_element(ratios.begin(), ratios.end());
  Json line = Json::object();
  line["case"] = wanted.name;
  line["threads"] = threads;
  line["ratio"] = rounds.median();
  line["spread"] = *most - *least;
  std::string text = fmt::format("{:<26} {:>2} {:>6.2f} {:>6.2f}", wanted.name, threads, rounds.median(), *most - *least);
  const std::pair<const char*, double StepPlan::*> parts[] = {{"step_us", &StepPlan::seconds}, {"lookup_us", &StepPlan::lookup}, {"model_us", &StepPlan::model},
                                                              {"update_us", &StepPlan::update}, {"other_us", &StepPlan::other},  {"data_us", &StepPlan::data}};
  for (const auto& [name, part] : parts) {
    line[name] = {{"predicted", micro(predicted, part)}, {"measured", micro(measured, part)}};
    text += fmt::format(" {:>8.0f}/{:<8.0f}", micro(predicted, part), micro(measured, part));
  }
  std::fputs((text + "\n").c_str(), stderr);
  std::fputs((json_line(line) + "\n").c_str(), stdout);
}

}  // namespace

int main(int argc, char** argv) {
  bench::Arguments arguments{.no_peer = "no peer says beforehand how long a step takes"};
  return bench::run_bench(argc, argv, arguments, "Predicted over measured step time.", [&] {
    std::fputs("case, threads, predicted/measured, spread of that; microseconds predicted/measured of the step, lookup, model, update, other, data\n", stderr);
    const int turns = arguments.quick ? 1 : 3;
    for (const Case& wanted : cases(arguments.quick)) {
      if (!arguments.wants(wanted.name)) continue;
      compare(wanted, 1, turns);
      if (usable_cores() > 1) compare(wanted, usable_cores(), turns);
    }
  });
}
