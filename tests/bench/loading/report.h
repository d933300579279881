#pragma once

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "base/host.h"
#include "base/json.h"
#include "base/time.h"

/// What benches of loading measure and print: a table on standard error, one JSON object per case on standard output.
namespace rechost::bench {

inline std::string machine() { return fmt::format("{}, {} threads", processor_name(), std::thread::hardware_concurrency()); }

/// Of all threads of this process.
inline double processor_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

/// One round of some work. Speeds are per second of processor time: the aims are per core, and benches often share a machine.
struct Round {
  double done = 0.0;  ///< things
  double processor_seconds = 0.0;
  double wall_seconds = 0.0;

  double per_core() const { return done / processor_seconds; }
  double per_second() const { return done / wall_seconds; }
};

/// body() returns how many things it did.
template <typename Body>
Round time_round(Body&& body) {
  const double processor_begin = processor_seconds();
  const auto begin = std::chrono::steady_clock::now();
  Round round;
  round.done = static_cast<double>(body());
  round.wall_seconds = seconds_since(begin);
  round.processor_seconds = processor_seconds() - processor_begin;
  return round;
}

/// The rounds of one side of a case.
struct Side {
  std::vector<Round> rounds;

  double best() const {
    double speed = 0.0;
    for (const Round& round : rounds) speed = std::max(speed, round.per_core());
    return speed;
  }
  double best_wall() const {
    double speed = 0.0;
    for (const Round& round : rounds) speed = std::max(speed, round.per_second());
    return speed;
  }
  double spread() const {
    double worst = best();
    for (const Round& round : rounds) worst = std::min(worst, round.per_core());
    return 1.0 - worst / best();
  }
};

class Report {
 public:
  explicit Report(int rounds) : rounds_(rounds), machine_(machine()) {
    std::fprintf(stderr, "%s\n%-58s %12s %12s %7s %12s %8s %10s\n", machine_.c_str(), "case", "per core", "per second", "spread", "peer", "ratio",
                 "at least");
  }

  int rounds() const { return rounds_; }

  /// `limit`: what is asked for, things per second of a core; 0: nothing.
  template <typename Body>
  void measure(const std::string& name, double limit, Body&& body) {
    Side ours;
    for (int round = 0; round < rounds_; ++round) ours.rounds.push_back(time_round(body));
    line(name, ours, nullptr, limit);
  }

  /// `limit`: how many times the peer's speed is asked for; without a peer, things per second of a core.
  void line(const std::string& name, const Side& ours, const Side* peer, double limit) {
    const double best = ours.best();
    const double ratio = peer == nullptr ? 0.0 : best / peer->best();
    const bool met = limit == 0.0 || (peer == nullptr ? best : ratio) >= limit;
    std::fprintf(stderr, "%-58s %12.0f %12.0f %6.0f%% %12s %8s %10s%s\n", name.c_str(), best, ours.best_wall(), 100.0 * ours.spread(),
                 peer == nullptr ? "" : fmt::format("{:.0f}", peer->best()).c_str(), peer == nullptr ? "" : fmt::format("{:.2f}", ratio).c_str(),
                 limit == 0.0 ? "" : fmt::format("{:.10g}", limit).c_str(), met ? "" : "  missed");
    Json object = Json::object();
    object["case"] = "data: " + name;
    object["ours"] = best;
    object["peer"] = peer == nullptr ? Json() : Json(peer->best());
    object["ratio"] = peer == nullptr ? Json() : Json(ratio);
    object["spread"] = ours.spread();
    object["limit"] = limit;
    object["machine"] = machine_;
    std::fputs((json_line(object) + "\n").c_str(), stdout);
    std::fflush(stdout);
  }

  /// Seconds of something beside those of a peer, at most `limit` times as many.
  struct Times {
    double ours = 0.0;
    double peer = 0.0;
    double limit = 0.0;
    double spread = 0.0;
    Json more = Json::object();  ///< what else the case found
  };
  void times(const std::string& name, const Times& times) {
    const double ratio = times.ours / times.peer;
    std::fprintf(stderr, "%-58s %10.3fms %12s %6.0f%% %10.3fms %8.3f %10s%s\n", name.c_str(), 1e3 * times.ours, "", 100.0 * times.spread, 1e3 * times.peer,
                 ratio, fmt::format("<= {:g}", times.limit).c_str(), ratio <= times.limit ? "" : "  missed");
    Json object = times.more;
    object["case"] = "data: " + name;
    object["ours"] = times.ours;
    object["peer"] = times.peer;
    object["ratio"] = ratio;
    object["spread"] = times.spread;
    object["limit"] = times.limit;
    object["machine"] = machine_;
    std::fputs((json_line(object) + "\n").c_str(), stdout);
    std::fflush(stdout);
  }

  static void note(std::string_view text) { std::fprintf(stderr, "%.*s\n", static_cast<int>(text.size()), text.data()); }

 private:
  int rounds_;
  std::string machine_;
};

}  // namespace rechost::bench
