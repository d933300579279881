// How long preparing, looking up and updating take for 26 tables, beside what the machine needs merely to touch the same rows.
// A table for people on standard error, the same as JSON lines on standard output.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/philox.h"
#include "device/host_buffer.h"
#include "device/instruction_set.h"
#include "embedding/engine.h"
#include "embedding/prepared_ids.h"
#include "embedding/table_storage.h"

using namespace rechost;

namespace {

constexpr std::size_t kTables = 26;

constexpr std::string_view kUsage = R"(bench_embedding --quick
bench_embedding --threads 1 --batch 8192 --only rowwise_adagrad

  --quick          small tables and few repetitions: a smoke test, not a measurement
  --threads N      default: all cores
  --batch N        samples (default 2048)
  --rows N         of each table (default 1000000; fewer where the memory limit asks for it)
  --memory-gib N   limit for the tables of one case (default 4); as much again is used to measure the machine
  --only WORD      only cases whose name holds WORD
Columns: prepare, lookup and update in milliseconds (lower quartile); for the last two the time in which the same threads touch one float of
every cache line of the same rows in the same order (read, or read and write), and our time in multiples of it.
)";

struct Options {
  bool quick = false;
  int threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  std::int64_t batch = 2048;
  std::int64_t rows = 1000000;
  double memory_gib = 4.0;
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
      options.rows = std::min<std::int64_t>(options.rows, 20000);
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

struct Case {
  std::int64_t dim = 16;
  std::int64_t ids_per_sample = 1;
  bool zipf = false;
  OptimizerKind optimizer = OptimizerKind::kRowwiseAdagrad;

  std::string name() const {
    return fmt::format("{}/D{}/L{}/{}", optimizer_name(optimizer), dim, ids_per_sample, zipf ? "zipf1.05" : "uniform");
  }
};

/// Milliseconds of repeated runs.
class Timings {
 public:
  void add(const std::function<void()>& run) {
    const auto start = std::chrono::steady_clock::now();
    run();
    milliseconds_.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  }
  /// The lower quartile: what the machine does while nobody else asks for it.
  double typical() { return at(0.25); }
  /// Distance between the quartiles, as a share of the median.
  double spread() { return (at(0.75) - at(0.25)) / at(0.5); }

 private:
  double at(double share) {
    std::sort(milliseconds_.begin(), milliseconds_.end());
    return milliseconds_[static_cast<std::size_t>(share * static_cast<double>(milliseconds_.size() - 1))];
  }
  std::vector<double> milliseconds_;
};

/// Ids of rank r with probability proportional to r^-1.05, by the inverse of the continuous distribution, scattered over the table.
std::int32_t zipf_id(double uniform, std::int64_t rows) {
  constexpr double kExponent = 1.05;
  const double last = std::pow(static_cast<double>(rows), 1.0 - kExponent);
  const double rank = std::pow(1.0 - uniform * (1.0 - last), 1.0 / (1.0 - kExponent)) - 1.0;
  const auto whole = std::min<std::uint64_t>(static_cast<std::uint64_t>(rank), static_cast<std::uint64_t>(rows - 1));
  return static_cast<std::int32_t>(whole * 0x9E3779B97F4A7C15ull % static_cast<std::uint64_t>(rows));
}

/// Memory shaped like the engine's tables, for asking how fast its rows can be touched at all.
class BareTables {
 public:
  BareTables(std::int64_t rows, std::int64_t stride, ThreadPool& pool) : stride_(stride) {
    for (std::size_t t = 0; t < kTables; ++t) buffers_.emplace_back(static_cast<std::size_t>(rows * stride) * sizeof(float), "the bench");
    pool.parallel_for(kTables, [&](std::int64_t t) {
      for (float& value : buffers_[static_cast<std::size_t>(t)].view<float>()) value = 1.0f;
    });
  }

  /// One float of each line of `floats` floats of rows[table], read or increased, `kChunk` rows of a table at a time.
  template <bool kWrite>
  void touch(const std::vector<std::vector<std::int32_t>>& rows, std::int64_t floats, ThreadPool& pool) {
    constexpr std::int64_t kChunk = 512;
    constexpr std::int64_t kFloatsPerLine = 16;
    std::int64_t chunks = 0;
    for (const auto& list : rows) chunks = std::max(chunks, (static_cast<std::int64_t>(list.size()) + kChunk - 1) / kChunk);
    const std::int64_t ahead = std::clamp<std::int64_t>(48 / ((floats + kFloatsPerLine - 1) / kFloatsPerLine), 3, 24);
    pool.parallel_for(static_cast<std::int64_t>(kTables) * chunks, [&](std::int64_t item) {
      const auto t = static_cast<std::size_t>(item / chunks);
      const std::vector<std::int32_t>& list = rows[t];
      const auto size = static_cast<std::int64_t>(list.size());
      float* const table = buffers_[t].view<float>().data();
      float sum = 0.0f;
      for (std::int64_t i = item % chunks * kChunk; i < std::min(size, (item % chunks + 1) * kChunk); ++i) {
        if (i + ahead < size) {
          const float* const next = table + list[static_cast<std::size_t>(i + ahead)] * stride_;
          for (std::int64_t f = 0; f < floats; f += kFloatsPerLine) __builtin_prefetch(next + f, kWrite ? 1 : 0, 3);
        }
        float* const row = table + list[static_cast<std::size_t>(i)] * stride_;
        for (std::int64_t f = 0; f < floats; f += kFloatsPerLine) {
          if constexpr (kWrite) {
            row[f] += 1.0f;
          } else {
            sum += row[f];
          }
        }
      }
      // The compiler must believe that the sum is wanted.
      asm volatile("" : : "x"(sum));
    });
  }

 private:
  std::int64_t stride_;
  std::vector<HostBuffer> buffers_;
};

std::string machine_name(int threads) {
  std::ifstream info("/proc/cpuinfo");
  std::string line;
  std::string model = "unknown processor";
  while (std::getline(info, line)) {
    if (line.starts_with("model name")) {
      model = line.substr(line.find(':') + 2);
      break;
    }
  }
  return fmt::format("{}, {}, {} threads", model, instruction_set_name(instruction_set()), threads);
}

void report_json(const std::string& name, Timings& ours, double limit, std::int64_t rows, const std::string& machine) {
  const std::string bound = limit > 0.0 ? fmt::format("{:.4f}", limit) : "null";
  const std::string ratio = limit > 0.0 ? fmt::format("{:.3f}", ours.typical() / limit) : "null";
  std::puts(
      fmt::format(R"({{"case":"{}","unit":"ms","ours":{:.4f},"peer":null,"ratio":{},"spread":{:.3f},"limit":{},"rows":{},"machine":"{}"}})",
                  name, ours.typical(), ratio, ours.spread(), bound, rows, machine)
          .c_str());
}

void run(const Case& of, const Options& options, ThreadPool& pool) {
  const std::int64_t state = optimizer_state_floats(of.optimizer, of.dim);
  const std::int64_t stride = row_stride(of.dim + state);
  const auto fitting = static_cast<std::int64_t>(options.memory_gib * (1 << 30) / static_cast<double>(stride * 4 * kTables));
  const std::int64_t rows = std::min(options.rows, fitting);

  std::vector<TableConfig> tables;
  std::vector<LookupConfig> lookups;
  BlockConfig block;
  for (std::size_t t = 0; t < kTables; ++t) {
    TableConfig table{.name = fmt::format("c{}", t), .rows = rows, .dim = of.dim, .initializer = {}, .optimizer = {}};
    table.initializer = {Initializer::Kind::kConstant, 0.01, 0.0};
    table.optimizer.kind = of.optimizer;
    tables.push_back(table);
    lookups.push_back({t, t, Pooling::kSum});
    block.lookups.push_back(t);
  }
  EmbeddingEngine engine(tables, lookups, {block}, 1, pool);
  BareTables bare(rows, stride, pool);

  const std::int64_t ids = options.batch * of.ids_per_sample;
  std::vector<std::int64_t> offsets;
  for (std::int64_t i = 0; of.ids_per_sample > 1 && i <= options.batch; ++i) offsets.push_back(i * of.ids_per_sample);
  std::vector<float> output(static_cast<std::size_t>(options.batch * of.dim) * kTables, 0.001f);
  float* const outputs[] = {output.data()};
  const float* const gradients[] = {output.data()};

  PreparedIds prepared;
  Timings prepare, lookup, update, read, write;
  const int repetitions = options.quick ? 3 : 30;
  const Philox random(42);
  std::uint64_t counter = 0;
  for (int repetition = -1; repetition < repetitions; ++repetition) {
    // Other ids each time: a row must not be in the cache because the last repetition left it there.
    std::vector<std::vector<std::int32_t>> columns(kTables);
    std::vector<IdColumnView> views;
    for (auto& column : columns) {
      for (std::int64_t i = 0; i < ids; ++i) {
        const std::uint64_t word = random.word64(counter++);
        column.push_back(of.zipf ? zipf_id(uniform_double(word), rows)
                                 : static_cast<std::int32_t>(uniform_below(word, static_cast<std::uint64_t>(rows))));
      }
      views.push_back({.ids = column, .offsets = offsets, .rows = options.batch, .name = "c"});
    }
    Timings unused;
    const bool warm_up = repetition < 0;
    (warm_up ? unused : prepare).add([&] { engine.prepare(views, prepared, pool); });
    (warm_up ? unused : lookup).add([&] { engine.forward(prepared, outputs, pool); });
    (warm_up ? unused : update).add([&] { engine.update(prepared, gradients, {.step = repetition + 2}, pool); });
    (warm_up ? unused : read).add([&] { bare.touch<false>(columns, of.dim, pool); });
    std::vector<std::vector<std::int32_t>> unique;
    for (std::size_t t = 0; t < kTables; ++t) {
      const auto view = engine.unique_rows(prepared, t);
      unique.emplace_back(view.begin(), view.end());
    }
    (warm_up ? unused : write).add([&] { bare.touch<true>(unique, of.dim + state, pool); });
  }
  std::fputs(fmt::format("{:<34}{:>9}{:>9.3f}{:>9.3f}{:>9.3f}{:>7.2f}{:>9.3f}{:>9.3f}{:>7.2f}\n", of.name(), rows, prepare.typical(),
                         lookup.typical(), read.typical(), lookup.typical() / read.typical(), update.typical(), write.typical(),
                         update.typical() / write.typical())
                 .c_str(),
             stderr);
  const std::string machine = machine_name(options.threads);
  report_json(of.name() + "/prepare", prepare, 0.0, rows, machine);
  report_json(of.name() + "/lookup", lookup, read.typical(), rows, machine);
  report_json(of.name() + "/update", update, write.typical(), rows, machine);
}

}  // namespace

int main(int count, char** arguments) {
  try {
    const Options options = parse(count, arguments);
    ThreadPool pool(options.threads);
    std::fputs(
        fmt::format("{}; {} tables, batch {}\n{:<34}{:>9}{:>9}{:>9}{:>9}{:>7}{:>9}{:>9}{:>7}\n", machine_name(options.threads), kTables,
                    options.batch, "optimizer/dim/ids/skew", "rows", "prepare", "lookup", "limit", "x", "update", "limit", "x")
            .c_str(),
        stderr);
    for (const OptimizerKind optimizer :
         {OptimizerKind::kRowwiseAdagrad, OptimizerKind::kSgd, OptimizerKind::kAdagrad, OptimizerKind::kAdam}) {
      for (const std::int64_t dim : {16, 64, 128}) {
        for (const std::int64_t ids_per_sample : {1, 10}) {
          for (const bool zipf : {false, true}) {
            const Case of{dim, ids_per_sample, zipf, optimizer};
            if (of.name().find(options.only) != std::string::npos) run(of, options, pool);
          }
        }
      }
    }
  } catch (const Error& error) {
    std::fputs(fmt::format("bench_embedding: {}\n", error.what()).c_str(), stderr);
    return 1;
  }
  return 0;
}
