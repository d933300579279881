// How many bytes ranks send one another in a step for embeddings: ids, rows and gradients, counted, not timed. Two ranks, eight tables that are read
// once a sample, ids after Zipf's law; with --peers the same ids in TorchRec's sharded collection on as many processes over Gloo, with the tables
// in the same places. Both sides count what they hand to their messages, without headers. A table goes to standard error, one JSON object per case
// to standard output. --quick: smaller batches; --only TEXT: cases with it in their name.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "app/environment.h"
#include "base/file.h"
#include "base/json.h"
#include "bench/arguments.h"
#include "bench/loading/piped_process.h"
#include "bench/loading/report.h"
#include "bench/peers/json_peer.h"
#include "core/base/temporary_directory.h"
#include "core/comm/in_threads.h"
#include "embedding/sharded_tables.h"

namespace {

using namespace rechost;

constexpr int kRanks = 2;
constexpr std::size_t kTables = 8;
constexpr std::int64_t kRows = 500'000;
constexpr std::int64_t kDim = 64;
constexpr std::int64_t kBatches = 3;
/// Promised: bytes of ours by theirs.
constexpr double kLimit = 0.5;

struct Case {
  Sharding sharding = Sharding::kTableWise;
  double exponent = 1.0;     ///< of Zipf's law
  std::int64_t samples = 0;  ///< of a rank
  RowPrecision wire = RowPrecision::kFp32;

  std::string name() const { return fmt::format("traffic: {}, zipf {}, {} samples a rank, {}", sharding_name(sharding), exponent, samples, row_precision_name(wire)); }
};

/// [batches, ranks, tables, samples]
std::vector<std::int32_t> draw_ids(const Case& drawn) {
  std::vector<double> cumulative(kRows);
  double sum = 0.0;
  for (std::int64_t row = 0; row < kRows; ++row) cumulative[static_cast<std::size_t>(row)] = sum += std::pow(static_cast<double>(row + 1), -drawn.exponent);
  std::mt19937_64 random(7);
  std::vector<std::int32_t> ids(static_cast<std::size_t>(kBatches * kRanks * drawn.samples) * kTables);
  // Frequent rows lie anywhere in a table, as keys that were hashed or numbered in the order of their coming do: a range of rows has its share of them.
  for (std::int32_t& id : ids) {
    const double draw = std::uniform_real_distribution<>(0.0, sum)(random);
    const std::int64_t rank = std::lower_bound(cumulative.begin(), cumulative.end(), draw) - cumulative.begin();
    id = static_cast<std::int32_t>(std::min(rank, kRows - 1) * 599'999 % kRows);
  }
  return ids;
}

struct Counted {
  double ids = 0.0;
  double rest = 0.0;  ///< rows and gradients

  double all() const { return ids + rest; }
};

/// Bytes that all ranks together send in a step.
Counted count_ours(const Case& counted, const std::vector<std::int32_t>& ids) {
  std::vector<TableConfig> tables;
  std::vector<LookupConfig> lookups;
  BlockConfig block;
  for (std::size_t t = 0; t < kTables; ++t) {
    TableConfig table{.name = fmt::format("t{}", t), .rows = kRows, .dim = kDim};
    table.initializer = {Initializer::Kind::kConstant, 0.01, 0.0};
    table.optimizer.kind = OptimizerKind::kSgd;  // its state would take memory and is never sent
    table.sharding = counted.sharding;
    if (counted.sharding == Sharding::kTableWise) table.rank = static_cast<int>(t) % kRanks;
    tables.push_back(std::move(table));
    lookups.push_back({.table = t, .id_column = t, .pooling = Pooling::kSum});
    block.lookups.push_back(t);
  }
  Counted sum;
  std::mutex mutex;
  test::with_ranks_on(std::vector<std::string>(kRanks, "one"), [&](Communicator& all) {
    ThreadPool pool(1);
    ShardedTables sharded(tables, lookups, {block}, 1, pool, {.communicator = &all, .slices = 1, .note_size = 2, .wire = counted.wire, .gradient_scale = 1024.0F});
    std::vector<float> values(static_cast<std::size_t>(counted.samples * kDim) * kTables);
    float* const outputs[] = {values.data()};
    const float* const gradients[] = {values.data()};
    const double note[] = {0.0, 0.0};
    RowRequests requests;
    PreparedIds prepared;
    const PreparedIds* const slice = &prepared;
    const Traffic before = all.traffic();
    std::int64_t id_bytes = 0;
    for (std::int64_t batch = 0; batch < kBatches; ++batch) {
      std::vector<IdColumnView> views;
      for (std::size_t t = 0; t < kTables; ++t) {
        const std::size_t first = static_cast<std::size_t>((batch * kRanks + all.rank()) * counted.samples) * kTables + t * static_cast<std::size_t>(counted.samples);
        views.push_back({.ids = std::span(ids).subspan(first, static_cast<std::size_t>(counted.samples)), .offsets = {}, .rows = counted.samples, .name = tables[t].name});
      }
      sharded.lookups().prepare(views, prepared, pool);
      sharded.request({&slice, 1}, note, requests);
      id_bytes += requests.traffic.sent_bytes;
      sharded.fetch({&slice, 1}, requests);
      sharded.forward(0, outputs, pool);
      sharded.add_gradients(0, gradients, pool);
      sharded.exchange_gradients(note);
      sharded.update({.step = batch + 1}, false, pool);
    }
    const Traffic moved = all.traffic() - before;
    const std::lock_guard lock(mutex);
    sum.ids += static_cast<double>(id_bytes) / kBatches;
    sum.rest += static_cast<double>(moved.sent_bytes - id_bytes) / kBatches;
  });
  return sum;
}

/// The same of TorchRec, by collective.
Json count_peer(const Case& counted, const std::vector<std::int32_t>& ids, const std::filesystem::path& folder) {
  const std::filesystem::path ids_path = folder / "ids.bin";
  std::ofstream(ids_path, std::ios::binary).write(reinterpret_cast<const char*>(ids.data()), static_cast<std::streamsize>(ids.size() * sizeof(std::int32_t)));
  const std::filesystem::path work_path = folder / "work.json";
  const Json work = {{"rows", std::vector<std::int64_t>(kTables, kRows)}, {"dim", kDim}, {"batch", counted.samples}, {"batches", kBatches},
                     {"sharding", sharding_name(counted.sharding)}, {"precision", row_precision_name(counted.wire)}, {"ids", ids_path.string()}};
  write_file_atomically(work_path, json_document(work));
  const std::string python = bench::peer_python("venv-peers", "packaging/peers");
  const std::string script = (app::program_directory() / "../../../tests/bench/traffic/torchrec_rank.py").lexically_normal();
  const std::string port = std::to_string(test::free_port());
  std::vector<std::unique_ptr<bench::PipedProcess>> ranks;
  for (int rank = 0; rank < kRanks; ++rank) {
    ranks.push_back(std::make_unique<bench::PipedProcess>(std::vector<std::string>{python, script, std::to_string(rank), std::to_string(kRanks), port, work_path}));
  }
  return parse_json(ranks.front()->read_line(), "what TorchRec has counted");
}

void report(const Case& counted, bool peers, const std::filesystem::path& folder) {
  const std::vector<std::int32_t> ids = draw_ids(counted);
  const Counted ours = count_ours(counted, ids);
  Json line = {{"case", counted.name()}, {"ours", ours.all()}, {"ours_ids", ours.ids}, {"ours_rows_and_gradients", ours.rest}};
  double theirs = 0.0;
  if (peers) {
    const Json collectives = count_peer(counted, ids, folder);
    for (const auto& [name, bytes] : collectives.items()) theirs += bytes.get<double>();
    line["peer_by_collective"] = collectives;
  }
  line["peer"] = peers ? Json(theirs) : Json();
  line["ratio"] = peers ? Json(ours.all() / theirs) : Json();
  line["limit"] = kLimit;
  line["machine"] = bench::machine();
  const std::string ratio = peers ? fmt::format("{:>12.0f} {:>7.3f}{}", theirs, ours.all() / theirs, ours.all() > kLimit * theirs ? "  missed" : "") : "";
  fmt::print(stderr, "{:<62} {:>12.0f} {:>12.0f} {}\n", counted.name(), ours.ids, ours.all(), ratio);
  fmt::print("{}\n", json_line(line));
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  bench::Arguments arguments;
  return bench::run_bench(argc, argv, arguments, "Bytes between two ranks in a step; --peers: beside TorchRec's.", [&] {
    const test::TemporaryDirectory folder;
    const std::int64_t samples = arguments.quick ? 1024 : 8192;
    fmt::print(stderr, "{:<62} {:>12} {:>12} {:>12} {:>7}  (bytes a step, all ranks; at most {})\n", "", "our ids", "ours", "peer", "ratio", kLimit);
    for (const Sharding sharding : {Sharding::kTableWise, Sharding::kRowWise}) {
      for (const double exponent : {1.0, 1.05, 1.1, 1.2}) {
        for (const RowPrecision wire : {RowPrecision::kFp32, RowPrecision::kBf16}) {
          const Case counted{sharding, exponent, samples, wire};
          if (arguments.wants(counted.name())) report(counted, arguments.peers, folder.path());
        }
      }
    }
  });
}
