#pragma once

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "app/environment.h"
#include "bench/loading/report.h"
#include "bench/peers/json_peer.h"
#include "bench/peers/rounds.h"
#include "bench/train/cases.h"
#include "core/folder.h"

namespace rechost::bench {

/// Training steps of ours in turns with those of other frameworks and with the dense layers' matrix products alone, all on the same cores and
/// the same batches. Each side is a process that waits while another computes. At one thread every process is held on one core and times are
/// processor times, which the machine's other work disturbs least: the threads that prepare our batches are in them. At more they are wall times.
class TrainComparison {
 public:
  TrainComparison(int rounds, double round_seconds) : rounds_(rounds), round_seconds_(round_seconds), machine_(machine()) {
    std::fputs(fmt::format("{}\n{:<30} {:>2} {:<24} {:>9} {:>6} {:>9} {:>6} {:>9} {:>9} {:>6} {:>8} {:>9} {:>8} {:>9}\n", machine_, "case", "th", "peer", "ours us", "spread",
                           "peer us", "spread", "ours /s", "peer /s", "ratio", "at least", "floor us", "ours/fl.", "peer/fl.")
                   .c_str(),
               stderr);
  }

  void run(const TrainCase& wanted, int threads) {
    Processes& processes = started(threads);
    const std::string path = (folder_.path() / "batches").string();
    const Json rows = processes.ours->ask({{"kind", "open"}, {"case", wanted.name}, {"path", path}}).at("rows");
    std::vector<Side> sides;
    sides.push_back({processes.ours.get(), "ours", {}});
    sides.push_back({&torch(processes, threads), "products", {}});
    sides.back().process->ask({{"kind", "products"}, {"name", "products"}, {"batch", wanted.batch}, {"layers", layers_json(wanted.layers)}});
    for (const TrainPeer& peer : wanted.peers) {
      sides.push_back({peer.ctr ? &ctr(processes, threads) : &torch(processes, threads), peer.name, {}});
      sides.back().process->ask({{"kind", "open"}, {"name", peer.name}, {"model", peer.model}, {"path", path}, {"batch", wanted.batch},
                                 {"batches", wanted.batches}, {"dense", wanted.plugin == "dlrm" ? 13 : 0}, {"rows", rows},
                                 {"dim", wanted.plugin == "two_tower" ? 128 : 16}});
    }
    for (Side& side : sides) {
      train(side, 3, threads);  // what is made at first
      const double seconds = train(side, 3, threads).at("wall_seconds").get<double>() / 3.0;
      side.steps = std::clamp<std::int64_t>(static_cast<std::int64_t>(round_seconds_ / seconds), 2, 10'000);
      side.times = {};
      side.walls = {};
    }
    Json breakdown;
    for (int round = 0; round < rounds_; ++round) {
      for (Side& side : sides) {
        const Json answer = train(side, side.steps, threads);
        if (&side == &sides.front()) breakdown = answer;
      }
    }
    for (std::size_t i = 0; i < wanted.peers.size(); ++i) report(wanted, threads, wanted.peers[i], sides[0], sides[i + 2], sides[1]);
    report_scaling(wanted, threads, sides);
    for (std::size_t i = 1; i < sides.size(); ++i) sides[i].process->ask({{"kind", "close"}, {"name", sides[i].name}});
  }

 private:
  struct Processes {
    std::unique_ptr<JsonPeer> ours, torch, ctr;
  };
  struct Side {
    JsonPeer* process = nullptr;
    std::string name;
    Rounds times;  ///< microseconds of a step, by the clock that is reported
    Rounds walls = {};
    std::int64_t steps = 3;
  };

  Processes& started(int threads) {
    Processes& found = processes_[threads];
    if (found.ours == nullptr) {
      const OnCores cores(threads);
      found.ours = std::make_unique<JsonPeer>(std::vector<std::string>{"/proc/self/exe", "--our-side", std::to_string(threads)});
    }
    return found;
  }

  static std::unique_ptr<JsonPeer> python(const std::string& environment, const std::string& script, int threads) {
    const OnCores cores(threads);
    return std::make_unique<JsonPeer>(
        std::vector<std::string>{peer_python(environment, script).string(), (app::program_directory() / "../../../tests/bench/train/peers.py").string()},
        peer_environment(threads));
  }
  JsonPeer& torch(Processes& processes, int threads) {
    if (processes.torch == nullptr) processes.torch = python("venv-peers", "packaging/peers", threads);
    return *processes.torch;
  }
  JsonPeer& ctr(Processes& processes, int threads) {
    if (processes.ctr == nullptr) processes.ctr = python("venv-ctr-peers", "packaging/ctr-peers", threads);
    return *processes.ctr;
  }

  Json train(Side& side, std::int64_t steps, int threads) {
    Json answer = side.process->ask({{"kind", "train"}, {"name", side.name}, {"steps", steps}});
    const double wall = 1e6 * answer.at("wall_seconds").get<double>() / static_cast<double>(steps);
    side.walls.add(wall);
    side.times.add(threads == 1 ? 1e6 * answer.at("processor_seconds").get<double>() / static_cast<double>(steps) : wall);
    return answer;
  }

  void report(const TrainCase& wanted, int threads, const TrainPeer& peer, const Side& ours, const Side& theirs, const Side& products) const {
    const double mine = ours.times.median(), other = theirs.times.median(), floor = products.times.median();
    const double ratio = other / mine;
    const auto rate = [&](double microseconds) { return 1e6 * static_cast<double>(wanted.batch) / microseconds; };
    const bool met = ratio >= peer.target;
    const bool floor_met = wanted.floor_target == 0.0 || mine / floor <= wanted.floor_target;
    std::fputs(fmt::format("{:<30} {:>2} {:<24} {:>9.0f} {:>5.0f}% {:>9.0f} {:>5.0f}% {:>9.0f} {:>9.0f} {:>6.2f} {:>8.2f} {:>9.0f} {:>8.2f} {:>9.2f}{}{}\n", wanted.name,
                           threads, peer.name, mine, 100.0 * ours.times.spread(), other, 100.0 * theirs.times.spread(), rate(mine), rate(other), ratio, peer.target,
                           floor, mine / floor, other / floor, met ? "" : "  missed", floor_met ? "" : "  floor missed")
                   .c_str(),
               stderr);
    Json line = Json::object();
    line["case"] = "train: " + wanted.name + ", " + peer.name;
    line["threads"] = threads;
    line["unit"] = "us";
    line["ours"] = mine;
    line["peer"] = other;
    line["ratio"] = ratio;
    line["target"] = peer.target;
    line["spread"] = ours.times.spread();
    line["peer_spread"] = theirs.times.spread();
    line["limit"] = floor;
    line["limit_spread"] = products.times.spread();
    line["limit_ratio"] = mine / floor;
    line["limit_target"] = wanted.floor_target;
    line["samples_per_second"] = rate(mine);
    line["machine"] = machine_;
    std::fputs((json_line(line) + "\n").c_str(), stdout);
    std::fflush(stdout);
  }

  /// How many times faster than at one thread, in wall time, when that was measured before.
  void report_scaling(const TrainCase& wanted, int threads, const std::vector<Side>& sides) {
    constexpr double kTarget = 1.7;
    for (const Side& side : sides) {
      double& alone = alone_[wanted.name + side.name];
      if (threads == 1) alone = side.walls.median();
      if (threads == 1 || alone == 0.0) continue;
      const double factor = alone / side.walls.median();
      const bool judged = &side == &sides.front();
      std::fputs(fmt::format("{:<30} {:>2} {:<24} {:.2f} times one thread{}\n", wanted.name, threads, side.name, factor,
                             !judged ? "" : factor >= kTarget ? ", at least 1.7" : ", at least 1.7  missed")
                     .c_str(),
                 stderr);
      Json line = Json::object();
      line["case"] = "train: " + wanted.name + ", scaling of " + side.name;
      line["threads"] = threads;
      line["ratio"] = factor;
      line["target"] = judged ? Json(kTarget) : Json();
      line["machine"] = machine_;
      std::fputs((json_line(line) + "\n").c_str(), stdout);
      std::fflush(stdout);
    }
  }

  const int rounds_;
  const double round_seconds_;
  const std::string machine_;
  const test::Folder folder_;
  std::map<int, Processes> processes_;
  std::map<std::string, double> alone_;  ///< wall times at one thread
};

}  // namespace rechost::bench
