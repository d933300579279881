// What messages between ranks of one machine cost: all-to-all and all-reduce of 1 KiB to 64 MiB on 2 and 4 processes, through shared memory and
// through TCP over the loopback; with --peers in turns with torch.distributed's Gloo backend on as many processes. The figure is the median
// time of an operation on rank 0, and of the rounds the best. A table goes to standard error, one JSON object per case to standard output.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "app/environment.h"
#include "base/error.h"
#include "base/json.h"
#include "base/time.h"
#include "bench/arguments.h"
#include "bench/loading/report.h"
#include "bench/peers/json_peer.h"
#include "core/comm/in_threads.h"

namespace {

using namespace rechost;

constexpr std::int64_t kMostBytes = std::int64_t{64} << 20;

struct Options : bench::Arguments {
  std::vector<std::int64_t> sizes;
  int repeats = 400;
  int rounds = 3;
};

/// Case and bytes -> median seconds, best round.
using Times = std::map<std::pair<std::string, std::int64_t>, double>;

void keep_best(Times& times, const std::string& name, std::int64_t bytes, double seconds) {
  const auto [place, is_new] = times.try_emplace({name, bytes}, seconds);
  if (!is_new) place->second = std::min(place->second, seconds);
}

template <typename Operation>
double median_seconds(int count, const Operation& operation) {
  std::vector<double> times;
  for (int i = 0; i < count; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    operation();
    times.push_back(seconds_since(begin));
  }
  std::nth_element(times.begin(), times.begin() + count / 2, times.end());
  return times[static_cast<std::size_t>(count / 2)];
}

/// One rank, in a process of its own; rank 0 writes a line per case.
void be_rank(int rank, int ranks, int port, bool shared_memory, const Options& options) {
  const auto job = Job::join(test::job_settings(rank, ranks, port));
  CommunicatorSettings settings = test::communicator_settings(*job, rank, ranks, "here");
  settings.shared_memory = shared_memory;
  const auto all = open_communicator(settings);
  for (const std::int64_t bytes : options.sizes) {
    const std::int64_t floats = std::max<std::int64_t>(bytes / 4 / ranks, 1) * ranks;
    std::vector<float> values(static_cast<std::size_t>(floats), 1.0F);
    std::vector<float> received(values.size());
    const std::vector<std::int64_t> each(static_cast<std::size_t>(ranks), floats / ranks * 4);
    const int count = static_cast<int>(std::clamp<std::int64_t>(kMostBytes / bytes, 4, options.repeats));
    const double exchanged = median_seconds(count, [&] {
      all->all_to_all(std::as_bytes(std::span(values)), each, std::as_writable_bytes(std::span(received)), each);
    });
    const double reduced = median_seconds(count, [&] {
      all->all_reduce_sum(values);
      std::fill(values.begin(), values.end(), 1.0F);
    });
    if (rank != 0) continue;
    for (const auto& [name, seconds] : {std::pair{"all_to_all", exchanged}, {"all_reduce", reduced}}) {
      fmt::print("{}\n", json_line(Json{{"case", name}, {"bytes", bytes}, {"seconds", seconds}}));
    }
  }
  std::fflush(stdout);
}

/// Starts a process for each rank and reads what rank 0 prints.
void run_ranks(int ranks, Times& times, const std::function<void(int rank)>& body) {
  int ends[2];
  if (pipe(ends) != 0) fail("no pipe to rank 0");
  std::vector<pid_t> processes;
  for (int rank = 0; rank < ranks; ++rank) {
    const pid_t process = fork();
    if (process < 0) fail("no process for rank {}", rank);
    if (process == 0) {
      dup2(rank == 0 ? ends[1] : STDERR_FILENO, STDOUT_FILENO);
      close(ends[0]);
      try {
        body(rank);
      } catch (const std::exception& error) {
        fmt::print(stderr, "rank {}: {}\n", rank, error.what());
        _exit(1);
      }
      _exit(0);
    }
    processes.push_back(process);
  }
  close(ends[1]);
  std::FILE* const lines = fdopen(ends[0], "r");
  char line[512];
  while (std::fgets(line, sizeof line, lines) != nullptr) {
    const Json object = Json::parse(line);
    keep_best(times, object["case"].get<std::string>(), object["bytes"].get<std::int64_t>(), object["seconds"].get<double>());
  }
  std::fclose(lines);
  bool failed = false;
  for (const pid_t process : processes) {
    int status = 0;
    failed = waitpid(process, &status, 0) != process || status != 0 || failed;
  }
  if (failed) fail("a rank has failed");
}

void measure(const Options& options, int ranks) {
  Times shared;
  Times tcp;
  Times peer;
  for (int round = 0; round < options.rounds; ++round) {
    for (const bool shared_memory : {true, false}) {
      const int port = test::free_port();
      run_ranks(ranks, shared_memory ? shared : tcp, [&](int rank) { be_rank(rank, ranks, port, shared_memory, options); });
    }
    if (!options.peers) continue;
    const std::string python = bench::peer_python("venv-peers", "packaging/peers");
    const std::string script = (app::program_directory() / "../../../tests/bench/ranks/gloo_peer.py").lexically_normal();
    const std::string port = std::to_string(test::free_port());
    run_ranks(ranks, peer, [&](int rank) {
      execl(python.c_str(), python.c_str(), script.c_str(), std::to_string(rank).c_str(), std::to_string(ranks).c_str(), port.c_str(),
            fmt::format("{}", fmt::join(options.sizes, ",")).c_str(), std::to_string(options.repeats).c_str(), static_cast<char*>(nullptr));
    });
  }
  const std::string machine = bench::machine();
  for (const auto& [key, seconds] : shared) {
    const auto& [name, bytes] = key;
    const double other = options.peers ? peer.at(key) : 0.0;
    const double limit = bytes < 65536 ? 1.5 : 1.0;
    fmt::print(stderr, "{:<12} {:>6} {:>10} {:>12.1f} {:>12.1f} {:>12.1f} {:>8.2f} {:>8}{}\n", name, ranks, bytes, seconds * 1e6, tcp.at(key) * 1e6,
               other * 1e6, other / seconds, limit, options.peers && other / seconds < limit ? "  missed" : "");
    Json object = {{"case", fmt::format("comm: {} of {} bytes, {} ranks", name, bytes, ranks)}, {"ours", seconds}, {"ours_tcp", tcp.at(key)}};
    object["peer"] = options.peers ? Json(other) : Json();
    object["ratio"] = options.peers ? Json(other / seconds) : Json();
    object["limit"] = limit;
    object["machine"] = machine;
    fmt::print("{}\n", json_line(object));
  }
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  return bench::run_bench(argc, argv, options, "Microseconds of all-to-all and all-reduce, 1 KiB to 64 MiB (--quick: 1 MiB); --peers: beside Gloo. --only: the number of ranks.", [&] {
    const std::int64_t most = options.quick ? std::int64_t{1} << 20 : kMostBytes;
    for (std::int64_t bytes = 1024; bytes <= most; bytes *= 4) options.sizes.push_back(bytes);
    if (options.quick) options.repeats = 50;
    if (options.quick) options.rounds = 1;
    fmt::print(stderr, "{}\n{:<12} {:>6} {:>10} {:>12} {:>12} {:>12} {:>8} {:>8}\n", bench::machine(), "microseconds", "ranks", "bytes", "memory", "tcp",
               "peer", "ratio", "at least");
    for (const int ranks : {2, 4}) {
      if (options.wants(std::to_string(ranks))) measure(options, ranks);
    }
  });
}
