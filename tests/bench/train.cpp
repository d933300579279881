// Where a training step's time goes: waiting for data, rows of tables into blocks, the plugin's forward and backward, updates. Models of the
// shipped kind on synthetic data in memory, one thread and all threads. With --peers: whole steps beside those of other frameworks instead.
// A table goes to standard error, the same as JSON lines to standard output.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "app/environment.h"
#include "base/host.h"
#include "base/json.h"
#include "bench/train/cases.h"
#include "bench/train/comparison.h"
#include "bench/train/large_table.h"
#include "bench/train/our_side.h"

namespace {

using namespace rechost;
using namespace rechost::bench;

constexpr std::string_view kUsage = R"(bench_train --quick
bench_train --peers --threads 1 --only dlrm

  --peers          steps of TorchRec, FuxiCTR and DeepCTR-Torch beside ours, and the dense layers' matrix products alone (packaging/peers and
                   packaging/ctr-peers make what it needs), and one table of very many rows; otherwise where the time of our steps goes, and
                   how many times longer they take with run.deterministic
  --quick          few steps: a smoke test, not a measurement
  --threads N      only this number of threads (default: one, then all cores)
  --only WORD      only cases whose name holds WORD
  --rounds N       of each side (default 7)
  --table-rows N   of the large table (default 100000000, which takes 9 GB of memory and twice 7 GB of disk)
With --peers, times of one thread are processor times on one core, those of more threads are wall times; medians, and the distance
between the quartiles as a share of them.
)";

struct Options {
  bool quick = false;
  bool peers = false;
  int rounds = 7;
  std::int64_t table_rows = 100'000'000;
  std::vector<int> threads;
  std::string only;
};

Options parse(int count, char** arguments) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const std::string_view name = arguments[i];
    const auto value = [&]() -> std::string {
      if (++i >= count) fail<ConfigError>("{} needs a value; see --help", name);
      return arguments[i];
    };
    if (name == "--help") {
      std::fwrite(kUsage.data(), 1, kUsage.size(), stdout);
      std::exit(0);
    } else if (name == "--quick") {
      options.quick = true;
    } else if (name == "--peers") {
      options.peers = true;
    } else if (name == "--threads") {
      options.threads = {std::stoi(value())};
    } else if (name == "--only") {
      options.only = value();
    } else if (name == "--rounds") {
      options.rounds = std::stoi(value());
    } else if (name == "--table-rows") {
      options.table_rows = std::stoll(value());
    } else {
      fail<ConfigError>("unknown option {}; see --help", name);
    }
  }
  if (options.quick) options.rounds = 2;
  if (options.threads.empty()) {
    const std::set<int> both = {1, usable_cores()};
    options.threads.assign(both.begin(), both.end());
  }
  return options;
}

/// How many times longer a step takes with run.deterministic: both ways in turns, medians.
double deterministic_cost(const TrainCase& wanted, OurTraining& usual, int threads, std::int64_t steps) {
  std::vector<std::string> settings = wanted.settings;
  settings.emplace_back("run.deterministic=true");
  OurTraining sliced(wanted.plugin, settings, threads);
  sliced.train(3);
  const std::int64_t turn = std::max<std::int64_t>(steps / 5, 3);
  Rounds with, without;
  for (int round = 0; round < 5; ++round) {
    without.add(usual.train(turn).seconds);
    with.add(sliced.train(turn).seconds);
  }
  return with.median() / without.median();
}

void measure(const TrainCase& wanted, int threads, std::int64_t steps) {
  OurTraining training(wanted.plugin, wanted.settings, threads);
  training.train(3);
  const TrainingResult result = training.train(steps);
  const auto micro = [&](double seconds) { return 1e6 * seconds / static_cast<double>(steps); };
  const double other = result.seconds - result.wait_seconds - result.times.lookup - result.times.model - result.times.update;
  const double rate = static_cast<double>(result.samples_here) / result.seconds;
  const double deterministic = deterministic_cost(wanted, training, threads, steps);
  std::fputs(fmt::format("{:<30} {:>7} {:>12.0f} {:>10.0f} {:>10.0f} {:>10.0f} {:>10.0f} {:>10.0f} {:>10.0f} {:>10.2f}\n", wanted.name, threads, rate,
                         micro(result.seconds), micro(result.wait_seconds), micro(result.times.lookup), micro(result.times.model),
                         micro(result.times.update), micro(other), deterministic)
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
  line["deterministic_ratio"] = deterministic;
  std::fputs((json_line(line) + "\n").c_str(), stdout);
}

void break_down(const Options& options) {
  std::fputs(fmt::format("{:<30} {:>7} {:>12} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10}\n", "case", "threads", "samples/s", "step us", "data us", "lookup us",
                         "model us", "update us", "other us", "determ. x")
                 .c_str(),
             stderr);
  for (const TrainCase& wanted : train_cases()) {
    if (wanted.name.find(options.only) == std::string::npos) continue;
    const std::int64_t steps = std::max<std::int64_t>((options.quick ? 50'000 : 400'000) / wanted.batch, 10);
    for (const int threads : options.threads) measure(wanted, threads, steps);
  }
}

void compare(const Options& options) {
  TrainComparison comparison(options.rounds, options.quick ? 0.1 : 1.0);
  for (const TrainCase& wanted : train_cases()) {
    if (wanted.name.find(options.only) == std::string::npos) continue;
    for (const int threads : options.threads) comparison.run(wanted, threads);
  }
  const std::string large = "large table";
  if (large.find(options.only) == std::string::npos) return;
  measure_large_table(options.quick ? std::min<std::int64_t>(options.table_rows, 1'000'000) : options.table_rows, options.threads.back(), options.quick);
}

}  // namespace

int main(int count, char** arguments) {
  app::keep_freed_memory();
  try {
    // What comparison.h starts, see serve_our_side().
    if (count == 3 && std::string_view(arguments[1]) == "--our-side") {
      serve_our_side(std::stoi(arguments[2]));
      return 0;
    }
    const Options options = parse(count, arguments);
    if (options.peers) {
      compare(options);
    } else {
      break_down(options);
    }
  } catch (const std::exception& error) {
    std::fputs(fmt::format("error: {}\n", error.what()).c_str(), stderr);
    return 1;
  }
  return 0;
}
