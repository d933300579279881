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

#include "bench/arguments.h"
#include "bench/embedding/point.h"
#include "bench/embedding/measurement.h"
#include "bench/loading/report.h"

using namespace rechost;
using namespace rechost::bench;

namespace {

constexpr std::string_view kDescription = R"(--only: what begins with /, as in /adagrad, may be the name's beginning. --peers: FBGEMM (packaging/peers makes what it needs).
Columns: prepare, lookup and update in milliseconds; "limit" is the time in which the same threads touch one float of every cache line of the
same rows in the same order (read, or read and write), and "of it" the share of our time that this is; "+out" and "+grad" the same with the lines
that a lookup writes and the gradients that an update reads in the order of rows, touched likewise. Medians. Times of one thread are
processor times, those of more are wall times. "+prep." counts prepare, which runs ahead of the step on a thread of its own, with the update:
the peer sorts its ids there.)";

}  // namespace

int main(int argc, char** argv) {
  namespace program_options = boost::program_options;
  Options options;
  program_options::options_description more;
  more.add_options()("threads", program_options::value(&options.threads)->value_name("N"), "default: all cores")(
      "batch", program_options::value(&options.batch)->value_name("N"), "samples (default 2048)")(
      "rows", program_options::value(&options.rows)->value_name("N"), "of each table (default 1000000, --quick 20000; fewer where the memory limit asks for it)")(
      "memory-gib", program_options::value(&options.memory_gib)->value_name("N"),
      "limit for the tables of one side (default 4); as much again is used to measure the machine, and by the peer");
  return run_bench(argc, argv, options, kDescription, [&] {
    if (options.quick) options.rows = std::min<std::int64_t>(options.rows, 20000);
    ThreadPool pool(options.threads);
    const std::unique_ptr<JsonPeer> peer = options.peers ? start_fbgemm(options.threads) : nullptr;
    print_header(options);
    for (const TableLayout& layout : table_layouts()) {
      std::vector<Point> points;
      for (const Point& point : points_of(layout)) {
        if (options.wants("/" + point.name(layout))) points.push_back(point);
      }
      if (points.empty()) continue;
      Measurement measurement(layout, options, pool, peer.get());
      for (const Point& point : points) measurement.run(point);
    }
  }, more);
}
