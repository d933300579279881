// How long preparing, looking up and updating take for 26 features, beside what the machine needs merely to touch the same rows and, with --peers,
// beside FBGEMM's kernels on the same ids. A table for people on standard error, the same as JSON lines on standard output.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/error.h"
#include "bench/embedding/point.h"
#include "bench/embedding/measurement.h"
#include "bench/loading/report.h"

using namespace rechost;
using namespace rechost::bench;

namespace {

constexpr std::string_view kUsage = R"(bench_embedding --quick
bench_embedding --threads 1 --batch 8192 --only rowwise_adagrad
bench_embedding --peers --threads 1

  --peers          FBGEMM on the same ids in turns with ours (packaging/peers makes what it needs)
  --quick          small tables and few repetitions: a smoke test, not a measurement
  --threads N      default: all cores
  --batch N        samples (default 2048)
  --rows N         of each table (default 1000000; fewer where the memory limit asks for it)
  --memory-gib N   limit for the tables of one side (default 4); as much again is used to measure the machine, and by the peer
  --only WORD      only cases whose name holds WORD; one that begins with /, as in /adagrad, may be its beginning
Columns: prepare, lookup and update in milliseconds; "limit" is the time in which the same threads touch one float of every cache line of the
same rows in the same order (read, or read and write), and "of it" the share of our time that this is; "+out" and "+grad" the same with the lines
that a lookup writes and the gradients that an update reads in the order of rows, touched likewise. Medians. Times of one thread are
processor times, those of more are wall times. "+prep." counts prepare, which runs ahead of the step on a thread of its own, with the update:
the peer sorts its ids there.
)";

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
      options.rows = std::min<std::int64_t>(options.rows, 20000);
    } else if (name == "--peers") {
      options.peers = true;
    } else if (name == "--threads") {
      options.threads = std::stoi(value());
    } else if (name == "--batch") {
      options.batch = std::stoll(value());
    } else if (name == "--rows") {
      options.rows = std::stoll(value());
    } else if (name == "--memory-gib") {
      options.memory_gib = std::stod(value());
    } else if (name == "--only") {
      options.only = value();
    } else {
      fail<ConfigError>("unknown option {}; see --help", name);
    }
  }
  return options;
}

}  // namespace

int main(int count, char** arguments) {
  try {
    const Options options = parse(count, arguments);
    ThreadPool pool(options.threads);
    const std::unique_ptr<JsonPeer> peer = options.peers ? start_fbgemm(options.threads) : nullptr;
    print_header(options);
    for (const TableLayout& layout : table_layouts()) {
      std::vector<Point> points;
      for (const Point& point : points_of(layout)) {
        if (("/" + point.name(layout)).find(options.only) != std::string::npos) points.push_back(point);
      }
      if (points.empty()) continue;
      Measurement measurement(layout, options, pool, peer.get());
      for (const Point& point : points) measurement.run(point);
    }
  } catch (const std::exception& error) {
    std::fputs(fmt::format("bench_embedding: {}\n", error.what()).c_str(), stderr);
    return 1;
  }
  return 0;
}
