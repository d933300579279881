// Placements of tables on ranks: how long it takes to choose one, and what a step's work on tables takes beside what the choice was reckoned with, for
// each sharding, on two ranks of this machine (threads with shared memory between them, each a thread of its own). The figure is the fastest of many steps.
// A table goes to standard error, one JSON object per case to standard output. --quick: fewer steps. Nobody else's planner takes this: --peers says so.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "app/environment.h"
#include "base/json.h"
#include "base/time.h"
#include "bench/arguments.h"
#include "comm/link_speed.h"
#include "core/comm/in_threads.h"
#include "embedding/placement_search.h"
#include "embedding/sharded_tables.h"

namespace {

using namespace rechost;
using Clock = std::chrono::steady_clock;

void report(const std::string& name, const Json& figures) {
  Json line = figures;
  line["case"] = name;
  std::string text;
  for (const auto& [key, value] : figures.items()) text += fmt::format("  {} {:.4g}", key, value.get<double>());
  std::fputs(fmt::format("{:<44}{}\n", name, text).c_str(), stderr);
  std::fputs((json_line(line) + "\n").c_str(), stdout);
}

void choose(const std::string& name, std::size_t count, int ranks) {
  std::mt19937_64 random(5);
  const auto between = [&](double low, double high) { return std::exp(std::uniform_real_distribution<>(std::log(low), std::log(high))(random)); };
  std::vector<TableSize> tables;
  for (std::size_t i = 0; i < count; ++i) {
    TableSize table{fmt::format("t{}", i), static_cast<std::int64_t>(between(10.0, 1e8)), 68, Sharding::kAuto, TableSize::kAnyRank, 16};
    table.traffic.rank_rows = std::min(static_cast<double>(table.rows), between(1.0, 50000.0));
    table.traffic.batch_rows = std::min(static_cast<double>(table.rows), 2.0 * table.traffic.rank_rows);
    tables.push_back(std::move(table));
  }
  const auto begin = Clock::now();
  const Placement placement(tables, ranks);
  const double seconds = seconds_since(begin);
  const std::vector<RankLoad> loads = loads_of(placement);
  double sum = 0.0;
  for (const RankLoad& load : loads) sum += load.nanoseconds;
  report(name, {{"seconds", seconds}, {"longest_by_mean", longest(loads) / (sum / ranks)}});
}

/// Tables that are read once a sample, with ids as frequent as Zipf's law has them.
struct Work {
  std::int64_t dim = 16;
  std::size_t tables = 8;
  std::int64_t rows = 200000;
  std::int64_t samples = 2048;  ///< of a rank
  OptimizerKind optimizer = OptimizerKind::kAdagrad;
};

std::vector<std::vector<std::int32_t>> draw_ids(const Work& work, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::vector<std::int32_t>> columns(work.tables);
  for (std::vector<std::int32_t>& column : columns) {
    for (std::int64_t i = 0; i < work.samples; ++i) {
      // Of a density like 1 / row.
      const double row = std::exp(std::uniform_real_distribution<>(0.0, std::log(static_cast<double>(work.rows)))(random)) - 1.0;
      column.push_back(static_cast<std::int32_t>(std::clamp<std::int64_t>(static_cast<std::int64_t>(row), 0, work.rows - 1)));
    }
  }
  return columns;
}

RowTraffic traffic_of(const Work& work, int ranks) {
  RowTraffic traffic;
  std::vector<std::int32_t> all;
  for (int rank = 0; rank < ranks; ++rank) {
    std::vector<std::int32_t> ids = draw_ids(work, static_cast<std::uint64_t>(rank))[0];
    all.insert(all.end(), ids.begin(), ids.end());
    if (rank > 0) continue;
    std::sort(ids.begin(), ids.end());
    const auto end = std::unique(ids.begin(), ids.end());
    traffic.rank_rows = static_cast<double>(end - ids.begin());
    traffic.fullest_range = static_cast<double>(std::lower_bound(ids.begin(), end, work.rows / ranks) - ids.begin()) / traffic.rank_rows;
  }
  std::sort(all.begin(), all.end());
  traffic.batch_rows = static_cast<double>(std::unique(all.begin(), all.end()) - all.begin());
  return traffic;
}

void step(const std::string& name, const Work& work, Sharding sharding, int steps) {
  constexpr int kRanks = 2;
  std::vector<TableConfig> configs;
  std::vector<LookupConfig> lookups;
  BlockConfig block;
  for (std::size_t t = 0; t < work.tables; ++t) {
    TableConfig table{.name = fmt::format("t{}", t), .rows = work.rows, .dim = work.dim};
    table.initializer = {Initializer::Kind::kConstant, 0.01, 0.0};
    table.optimizer.kind = work.optimizer;
    table.sharding = sharding;
    table.rank = sharding == Sharding::kTableWise ? static_cast<int>(t) % kRanks : TableSize::kAnyRank;
    table.traffic = traffic_of(work, kRanks);
    configs.push_back(std::move(table));
    lookups.push_back({.table = t, .id_column = t, .pooling = Pooling::kSum});
    block.lookups.push_back(t);
  }
  double best = std::numeric_limits<double>::infinity();
  RankLayout layout(kRanks);
  test::with_ranks_on({"one", "one"}, [&](Communicator& all) {
    ThreadPool pool(1);
    const LinkSpeed links = measure_links(all, layout.nodes());
    if (all.rank() == 0) layout.set_wire(WireCosts::of_speeds(1e-9 * links.within, 0.0, {}));
    const ShardedTables::Settings settings{.communicator = &all, .slices = 1, .note_size = 1};
    ShardedTables tables(configs, lookups, {block}, 1, pool, settings);
    const std::vector<std::vector<std::int32_t>> ids = draw_ids(work, static_cast<std::uint64_t>(all.rank()));
    std::vector<IdColumnView> views;
    for (const std::vector<std::int32_t>& column : ids) views.push_back({.ids = column, .offsets = {}, .rows = work.samples, .name = "bench"});
    PreparedIds prepared;
    tables.lookups().prepare(views, prepared, pool);
    std::vector<float> output(static_cast<std::size_t>(work.samples * work.dim) * work.tables);
    const std::vector<float> gradient(output.size(), 1e-3f);
    float* const outputs[] = {output.data()};
    const float* const gradients[] = {gradient.data()};
    const PreparedIds* const slices[] = {&prepared};
    const double note[] = {0.0};
    RowRequests requests;
    for (int i = 0; i < steps; ++i) {
      all.barrier();
      const auto begin = Clock::now();
      tables.request(slices, note, requests);
      tables.fetch(slices, requests);
      tables.forward(0, outputs, pool);
      tables.add_gradients(0, gradients, pool);
      tables.exchange_gradients(note);
      tables.update({.step = i + 1}, false, pool);
      all.barrier();
      if (all.rank() == 0 && i > 2) best = std::min(best, seconds_since(begin));
    }
  });
  const double reckoned = 1e-9 * longest(loads_of(Placement(table_sizes(configs), layout)));
  report(name, {{"us", 1e6 * best}, {"reckoned_us", 1e6 * reckoned}, {"reckoned_by_taken", reckoned / best}});
}

}  // namespace

int main(int argc, char** argv) {
  bench::Arguments arguments{.no_peer = "no peer's planner takes these tables"};
  return bench::run_bench(argc, argv, arguments, "Choosing placements, and what they take beside what was reckoned.", [&] {
    ::setenv("RECHOST_BUILD_DIR", (app::program_directory().parent_path()).c_str(), 0);
    const int steps = arguments.quick ? 30 : 400;
    for (const auto& [tables, ranks] : {std::pair(26, 4), std::pair(100, 8), std::pair(1000, 64)}) {
      const std::string name = fmt::format("choose: {} tables, {} ranks", tables, ranks);
      if (arguments.wants(name)) choose(name, static_cast<std::size_t>(tables), ranks);
    }
    const auto measure = [&](const std::string& name, const Work& work, Sharding sharding) {
      if (arguments.wants(name)) step(name, work, sharding, steps);
    };
    for (const std::int64_t dim : {16, 64}) {
      for (const Sharding sharding : {Sharding::kTableWise, Sharding::kRowWise, Sharding::kRowWiseHash, Sharding::kColumnWise, Sharding::kDataParallel}) {
        measure(fmt::format("step: D {}, 8 tables, B 2 x 2048, {}", dim, sharding_name(sharding)), {.dim = dim}, sharding);
      }
    }
    for (const Sharding sharding : {Sharding::kTableWise, Sharding::kRowWise, Sharding::kDataParallel}) {
      measure(fmt::format("step: 200 tables of few rows, B 2 x 16, {}", sharding_name(sharding)), {.dim = 4, .tables = 200, .rows = 40, .samples = 16}, sharding);
    }
  });
}
