// What a second rank gains: DLRM trained by the program itself with one rank on one core and with two ranks on two cores, in turns, the same batches of
// the same size. The wall time of the program's own steps counts, evaluation and start do not. A table goes to standard error, one JSON object per
// case to standard output. --quick: one turn and fewer samples; --only TEXT: cases with it in their name. No peer takes part: --peers says so.
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "app/environment.h"
#include "base/error.h"
#include "base/json.h"
#include "bench/arguments.h"
#include "bench/loading/piped_process.h"
#include "bench/loading/report.h"
#include "bench/peers/json_peer.h"
#include "bench/peers/rounds.h"
#include "bench/train/synthetic_settings.h"
#include "core/base/temporary_directory.h"

namespace {

using namespace rechost;

/// Promised: how many times one rank's samples two ranks train in the same time.
constexpr double kLimit = 1.6;

struct Case {
  std::string name;
  std::int64_t batch = 0;  ///< of all ranks together
  std::int64_t samples = 0;  ///< of a run, so that it takes some seconds
  std::vector<std::string> settings;  ///< beside those of all cases
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const std::int64_t batch : {2048, 8192}) {
    all.push_back({fmt::format("scale: DLRM 512-256, B {}", batch), batch, 160'000, {"model.bottom_mlp=[512, 256, 64, 16]", "model.top_mlp=[512, 256]"}});
    all.push_back({fmt::format("scale: DLRM 64-32, B {}", batch), batch, 1'000'000, {"model.bottom_mlp=[64, 32, 16]", "model.top_mlp=[64, 32]"}});
  }
  return all;
}

/// Samples a second, one thread a rank.
double train(const Case& wanted, int ranks, std::int64_t samples, const std::filesystem::path& folder) {
  std::vector<std::string> command = {(app::program_directory() / "rechost").string(), "run", "--plugin", "dlrm", "--output", "json", "--out", folder.string()};
  std::vector<std::string> settings = bench::synthetic_settings(wanted.batch, samples);
  settings.push_back("run.threads=1");
  settings.insert(settings.end(), wanted.settings.begin(), wanted.settings.end());
  for (const std::string& setting : settings) command.insert(command.end(), {"--set", setting});
  if (ranks > 1) command.insert(command.end(), {"--nproc", std::to_string(ranks)});
  std::vector<std::string> quiet = {"sh", "-c", "exec \"$0\" \"$@\" 2>/dev/null"};
  quiet.insert(quiet.end(), command.begin(), command.end());
  const bench::OnCores cores(ranks);
  const bench::PipedProcess program(quiet);
  const Json summary = parse_json(program.read_line(), "what a training run has printed");
  if (summary.at("ranks") != ranks) fail("{} ranks trained where {} were asked for", summary.at("ranks").dump(), ranks);
  return summary.at("samples_per_second");
}

void report(const Case& wanted, bool quick) {
  const test::TemporaryDirectory folder;
  const std::int64_t samples = quick ? 20 * wanted.batch : wanted.samples;
  bench::Rounds one, two, ratio;
  for (int turn = 0; turn < (quick ? 1 : 5); ++turn) {
    const double alone = train(wanted, 1, samples, folder.path());
    const double together = train(wanted, 2, samples, folder.path());
    one.add(alone);
    two.add(together);
    ratio.add(together / alone);
  }
  const Json line = {{"case", wanted.name}, {"one_rank", one.median()}, {"two_ranks", two.median()}, {"ratio", ratio.median()}, {"spread", ratio.spread()}, {"limit", kLimit}, {"machine", bench::machine()}};
  fmt::print(stderr, "{:<32} {:>12.0f} {:>12.0f} {:>7.2f} {:>6.0f}%{}\n", wanted.name, one.median(), two.median(), ratio.median(), 100.0 * ratio.spread(), ratio.median() < kLimit ? "  missed" : "");
  fmt::print("{}\n", json_line(line));
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  bench::Arguments arguments{.no_peer = "it compares with itself on one core: there is no peer"};
  return bench::run_bench(argc, argv, arguments, "How many samples two ranks train in the time of one.", [&] {
    fmt::print(stderr, "{}\n{:<32} {:>12} {:>12} {:>7} {:>7}  (samples/s; at least {} times)\n", bench::machine(), "", "one rank", "two ranks", "ratio", "spread", kLimit);
    for (const Case& wanted : cases()) {
      if (arguments.wants(wanted.name)) report(wanted, arguments.quick);
    }
  });
}
