// What the data floor costs on a Criteo-like split (13 dense columns, 26 id columns with Zipf-distributed values, one label): learning the
// vocabularies, encoding, assembling batches, the order of samples, negatives. Data comes from memory, so the loader costs nothing.
//
// Speeds are per second of processor time, because the aims are per core and benches often share a machine; the table has wall time beside.
// A table goes to standard error, one JSON object per case to standard output.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "base/philox.h"
#include "data/negative_sampler.h"
#include "data/pipeline.h"
#include "data/prepare.h"

namespace {

using namespace rechost;

constexpr std::size_t kDense = 13;
constexpr std::size_t kSparse = 26;
constexpr std::int64_t kRowsPerChunk = 65536;

class CriteoLike : public ChunkSource {
 public:
  explicit CriteoLike(std::int64_t rows) : rows_(rows) {
    for (std::size_t i = 0; i < kDense; ++i) {
      columns_.push_back({.name = fmt::format("I{}", i + 1), .role = ColumnRole::kDense, .type = ValueType::kFloat32});
    }
    for (std::size_t i = 0; i < kSparse; ++i) {
      columns_.push_back({.name = fmt::format("C{}", i + 1), .role = ColumnRole::kSparse, .type = ValueType::kInt64});
    }
    columns_.push_back({.name = "label", .role = ColumnRole::kLabel, .type = ValueType::kFloat32});
    dense_.resize(kDense);
    sparse_.resize(kSparse);
    const Philox random(1);
    for (std::size_t i = 0; i < kDense; ++i) {
      for (std::int64_t row = 0; row < rows; ++row) dense_[i].push_back(uniform_float(random(static_cast<std::uint64_t>(row), i)[0]) * 100.0F - 1.0F);
    }
    for (std::size_t i = 0; i < kSparse; ++i) {
      // Cardinalities from tens to millions, as in Criteo; log-uniform ranks are Zipf-distributed with exponent 1.
      const double distinct = std::pow(10.0, 1.0 + 6.0 * static_cast<double>(i) / kSparse);
      for (std::int64_t row = 0; row < rows; ++row) {
        const double u = uniform_double(random.word64(static_cast<std::uint64_t>(row), 100 + i));
        const auto rank = static_cast<std::uint64_t>(std::pow(distinct, u));
        sparse_[i].push_back(static_cast<std::int64_t>(derive_seed(rank, i) >> 32));  // values as arbitrary as Criteo's hashes
      }
    }
    for (std::int64_t row = 0; row < rows; ++row) label_.push_back(static_cast<float>(random(static_cast<std::uint64_t>(row), 77)[0] & 1U));
  }

  const std::vector<ColumnInfo>& columns() const override { return columns_; }
  std::int64_t chunk_count() const override { return (rows_ + kRowsPerChunk - 1) / kRowsPerChunk; }
  std::int64_t chunk_rows(std::int64_t chunk) const override { return std::min(kRowsPerChunk, rows_ - chunk * kRowsPerChunk); }
  std::uint64_t fingerprint() override { return 1; }
  std::optional<double> best_auc() const override { return std::nullopt; }

  std::unique_ptr<ChunkData> read(std::int64_t chunk, std::span<const std::uint32_t> wanted, const std::function<void(BadRow&&)>&) override {
    class Views : public ChunkData {
     public:
      std::span<const ColumnView> columns() const override { return views; }
      std::int64_t rows() const override { return row_count; }
      std::vector<ColumnView> views;
      std::int64_t row_count = 0;
    };
    auto data = std::make_unique<Views>();
    data->row_count = chunk_rows(chunk);
    const std::int64_t first = chunk * kRowsPerChunk;
    for (const std::uint32_t column : wanted) {
      ColumnView view;
      view.type = columns_[column].type;
      view.rows = data->row_count;
      view.values = column < kDense             ? static_cast<const void*>(dense_[column].data() + first)
                    : column < kDense + kSparse ? static_cast<const void*>(sparse_[column - kDense].data() + first)
                                                : static_cast<const void*>(label_.data() + first);
      data->views.push_back(view);
    }
    return data;
  }

 private:
  std::int64_t rows_;
  std::vector<ColumnInfo> columns_;
  std::vector<std::vector<float>> dense_;
  std::vector<std::vector<std::int64_t>> sparse_;
  std::vector<float> label_;
};

std::string machine() {
  std::string name = "unknown processor";
  if (std::FILE* const file = std::fopen("/proc/cpuinfo", "r")) {
    char line[512];
    while (std::fgets(line, sizeof line, file) != nullptr) {
      if (std::strncmp(line, "model name", 10) != 0) continue;
      name = std::strchr(line, ':') + 2;
      name.erase(name.find_last_not_of('\n') + 1);
      break;
    }
    std::fclose(file);
  }
  return fmt::format("{}, {} threads", name, std::thread::hardware_concurrency());
}

/// Of all threads of this process.
double processor_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

class Report {
 public:
  explicit Report(int rounds) : rounds_(rounds), machine_(machine()) {
    std::fprintf(stderr, "%s\n%-50s %14s %14s %8s %12s\n", machine_.c_str(), "case", "per core", "per second", "spread", "at least");
  }

  /// Best of some rounds: body() returns how many things it did. `limit`: what is asked for, things per second; 0: nothing.
  template <typename Body>
  void measure(const std::string& name, double limit, Body&& body) {
    std::vector<double> speeds;
    double best_wall = 0.0;
    for (int round = 0; round < rounds_; ++round) {
      const double processor_begin = processor_seconds();
      const auto begin = std::chrono::steady_clock::now();
      const auto done = static_cast<double>(body());
      const double wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
      speeds.push_back(done / (processor_seconds() - processor_begin));
      best_wall = std::max(best_wall, done / wall);
    }
    const double best = *std::max_element(speeds.begin(), speeds.end());
    const double spread = 1.0 - *std::min_element(speeds.begin(), speeds.end()) / best;
    std::fprintf(stderr, "%-50s %14.0f %14.0f %7.0f%% %12.0f\n", name.c_str(), best, best_wall, 100.0 * spread, limit);
    std::fputs(fmt::format(R"({{"case":"data: {}","ours":{:.0f},"peer":null,"ratio":null,"spread":{:.3f},"limit":{:.0f},"machine":"{}"}})" "\n",
                           name, best, spread, limit, machine_)
                   .c_str(),
               stdout);
    std::fflush(stdout);
  }

 private:
  int rounds_;
  std::string machine_;
};

void run(bool quick) {
  Report report(quick ? 2 : 5);
  const std::int64_t rows = quick ? 400'000 : 2'000'000;
  const auto source = std::make_shared<CriteoLike>(rows);
  PrepareOptions options;
  options.data.memory_gib = 8.0;
  ThreadPool pool(1);
  PreparedData prepared;
  report.measure("learn vocabularies and encode, rows, 1 thread", 1e6, [&] {
    prepared = prepare_data({{"train", source}}, options, pool);
    return rows;
  });
  options.vocabularies = prepared.vocabularies;
  report.measure("encode with known vocabularies, rows, 1 thread", 1e6, [&] {
    prepared = prepare_data({{"train", source}}, options, pool);
    return rows;
  });

  const Dataset& train = *prepared.train;
  Batch batch;
  std::vector<std::int64_t> samples;
  for (const std::int64_t batch_size : {2048, 16384}) {
    const SampleOrder order({Shuffle::kFull, 1, batch_size}, train.chunk_samples());
    report.measure(fmt::format("assemble shuffled batches of {}, rows, 1 thread", batch_size), 3e6, [&] {
      for (std::int64_t step = 0; step < order.steps_per_epoch(); ++step) {
        order.batch(0, step, {}, samples);
        train.gather(samples, batch);
      }
      return rows;
    });
  }
  const SampleOrder order({Shuffle::kFull, 1, 2048}, train.chunk_samples());
  report.measure("order alone, samples, 1 thread", 0, [&] {
    for (std::int64_t step = 0; step < order.steps_per_epoch(); ++step) order.batch(1, step, {}, samples);
    return rows;
  });
  report.measure("pipeline with 1 worker, batches of 2048, rows", 3e6, [&] {
    BatchPipeline pipeline(train, order, {.end_step = order.steps_per_epoch(), .prefetch = 4, .threads = 1});
    while (pipeline.next(batch)) {
    }
    return rows;
  });

  const Vocabulary& largest = prepared.vocabularies->at("C26");
  const NegativeSampler sampler(largest.counts(), 0.75, 1);
  std::vector<std::int32_t> negatives(1 << 16);
  report.measure(fmt::format("draw negatives of {} entries, 1 thread", largest.rows()), 0, [&] {
    for (std::int64_t step = 0; step < 16; ++step) sampler.draw(step, 0, negatives);
    return 16 * static_cast<std::int64_t>(negatives.size());
  });
}

}  // namespace

int main(int argc, char** argv) {
  bool quick = false;
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    if (option == "--quick") {
      quick = true;
    } else if (option == "--peers") {
      std::fprintf(stderr, "no peer is measured here: loaders of other frameworks do not run inside this program\n");
    } else {
      std::fprintf(stderr, "usage: bench_data [--quick] [--peers]\nSpeed of vocabularies, encoding and batches, from memory.\n");
      return option == "--help" ? 0 : 2;
    }
  }
  try {
    run(quick);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
  return 0;
}
