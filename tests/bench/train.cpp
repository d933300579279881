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
#include "bench/arguments.h"
#include "bench/train/cases.h"
#include "bench/train/comparison.h"
#include "bench/train/large_table.h"
#include "bench/train/our_side.h"

namespace {

using namespace rechost;
using namespace rechost::bench;

constexpr std::string_view kDescription = R"(--peers: steps of TorchRec, FuxiCTR and DeepCTR-Torch beside ours, and the dense layers' matrix products alone (packaging/peers and
packaging/ctr-peers make what it needs), and one table of very many rows; otherwise where the time of our steps goes, and how many times
longer they take with run.deterministic.
With --peers, times of one thread are processor times on one core, those of more threads are wall times; medians, and the distance
between the quartiles as a share of them.)";

struct Options : Arguments {
  int rounds = 7;
  std::int64_t table_rows = 100'000'000;
  int threads = 0;

  std::set<int> all_threads() const { return threads == 0 ? std::set<int>{1, usable_cores()} : std::set<int>{threads}; }
};

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
    if (!options.wants(wanted.name)) continue;
    const std::int64_t steps = std::max<std::int64_t>((options.quick ? 50'000 : 400'000) / wanted.batch, 10);
    for (const int threads : options.all_threads()) measure(wanted, threads, steps);
  }
}

void compare(const Options& options) {
  TrainComparison comparison(options.quick ? 2 : options.rounds, options.quick ? 0.1 : 1.0);
  for (const TrainCase& wanted : train_cases()) {
    if (!options.wants(wanted.name)) continue;
    for (const int threads : options.all_threads()) comparison.run(wanted, threads);
  }
  if (!options.wants("large table")) return;
  measure_large_table(options.quick ? std::min<std::int64_t>(options.table_rows, 1'000'000) : options.table_rows, *options.all_threads().rbegin(), options.quick);
}

}  // namespace

int main(int argc, char** argv) {
  namespace program_options = boost::program_options;
  app::keep_freed_memory();
  Options options;
  int our_side = -1;
  program_options::options_description more;
  more.add_options()("threads", program_options::value(&options.threads)->value_name("N"), "only this number of threads (default: one, then all cores)")(
      "rounds", program_options::value(&options.rounds)->value_name("N"), "of each side (default 7; --quick: 2)")(
      "table-rows", program_options::value(&options.table_rows)->value_name("N"),
      "of the large table (default 100000000, which takes 9 GB of memory and twice 7 GB of disk; --quick: 1000000)")(
      "our-side", program_options::value(&our_side)->value_name("N"), "what a comparison starts: serves one side with N threads");
  return run_bench(argc, argv, options, kDescription, [&] {
    if (our_side >= 0) {
      serve_our_side(our_side);
    } else if (options.peers) {
      compare(options);
    } else {
      break_down(options);
    }
  }, more);
}
