// A vocabulary of very many distinct 64-bit ids, learnt within a limit of memory: run it under `ulimit -v` and it must still finish. Rows are
// streamed, ids are a bijection of the row number, so that nothing but the vocabulary needs memory and every id can be checked at the end.
//
// A table goes to standard error, one JSON object to standard output.

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include <sys/resource.h>

#include <fmt/format.h>

#include "bench/arguments.h"
#include "data/prepare.h"

namespace {

using namespace rechost;

constexpr std::int64_t kRowsPerChunk = 65536;

/// Row r has id (r mod distinct), scattered over 64 bits by an odd multiplier: distinct rows, distinct ids.
class ManyIds : public ChunkSource {
 public:
  ManyIds(std::int64_t rows, std::int64_t distinct) : rows_(rows), distinct_(distinct) {
    columns_.push_back({.name = "id", .role = ColumnRole::kSparse, .type = ValueType::kInt64});
  }

  static std::int64_t id(std::int64_t number) { return static_cast<std::int64_t>(static_cast<std::uint64_t>(number) * 0x9E3779B97F4A7C15ull); }

  const std::vector<ColumnInfo>& columns() const override { return columns_; }
  std::int64_t chunk_count() const override { return (rows_ + kRowsPerChunk - 1) / kRowsPerChunk; }
  std::int64_t chunk_rows(std::int64_t chunk) const override { return std::min(kRowsPerChunk, rows_ - chunk * kRowsPerChunk); }
  std::uint64_t fingerprint() override { return 1; }
  std::optional<double> best_auc() const override { return std::nullopt; }

  std::unique_ptr<ChunkData> read(std::int64_t chunk, std::span<const std::uint32_t>, const std::function<void(BadRow&&)>&) override {
    class Column : public ChunkData {
     public:
      std::span<const ColumnView> columns() const override { return {&view, 1}; }
      std::int64_t rows() const override { return view.rows; }
      ColumnView view;
      std::vector<std::int64_t> ids;
    };
    auto data = std::make_unique<Column>();
    data->view.type = ValueType::kInt64;
    data->view.rows = chunk_rows(chunk);
    for (std::int64_t row = 0; row < data->view.rows; ++row) data->ids.push_back(id((chunk * kRowsPerChunk + row) % distinct_));
    data->view.values = data->ids.data();
    return data;
  }

 private:
  std::int64_t rows_;
  std::int64_t distinct_;
  std::vector<ColumnInfo> columns_;
};

double seconds_of(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

double gibibytes(std::int64_t kibibytes) { return static_cast<double>(kibibytes) / (1 << 20); }

std::int64_t peak_kibibytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

void run(std::int64_t distinct, double gib, const std::string& directory) {
  const std::int64_t rows = distinct + distinct / 8;  // the first eighth occurs twice and has the first rows
  PrepareOptions options;
  options.data.shuffle = "none";
  options.data.memory_gib = 1e-3;
  options.data.vocabulary_memory_gib = gib;
  options.temporary_directory = directory;
  ThreadPool pool(1);
  const double begin = seconds_of(CLOCK_MONOTONIC);
  const double processor_begin = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
  const PreparedData prepared = prepare_data({{"train", std::make_shared<ManyIds>(rows, distinct)}}, options, pool);
  const double wall = seconds_of(CLOCK_MONOTONIC) - begin;
  const double processor = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - processor_begin;
  const std::int64_t peak = peak_kibibytes();

  // The order is a function of the data: those that occur twice first, each part ascending; every id once.
  const Vocabulary& vocabulary = prepared.vocabularies->at("id");
  if (vocabulary.rows() != distinct + Vocabulary::kFirstValueRow) fail("{} rows, expected {}", vocabulary.rows(), distinct + Vocabulary::kFirstValueRow);
  std::vector<std::int64_t> values(1 << 16);
  std::vector<std::int32_t> found(values.size());
  std::int64_t sum = 0;
  for (std::int64_t first = 0; first < distinct; first += static_cast<std::int64_t>(values.size())) {
    const auto count = static_cast<std::size_t>(std::min<std::int64_t>(distinct - first, static_cast<std::int64_t>(values.size())));
    for (std::size_t i = 0; i < count; ++i) values[i] = ManyIds::id(first + static_cast<std::int64_t>(i));
    vocabulary.rows_of({values.data(), count}, found.data());
    for (std::size_t i = 0; i < count; ++i) {
      const std::int64_t row = found[i] - Vocabulary::kFirstValueRow;
      const bool twice = first + static_cast<std::int64_t>(i) < distinct / 8;
      if (row < 0 || (row < distinct / 8) != twice || vocabulary.counts()[found[i]] != (twice ? 2 : 1)) fail("id {} has row {}", values[i], found[i]);
      sum += row;
    }
  }
  if (sum != distinct * (distinct - 1) / 2) fail("some rows belong to two ids");
  for (std::int32_t row = Vocabulary::kFirstValueRow + 1; row < vocabulary.rows(); ++row) {
    if (row - Vocabulary::kFirstValueRow == distinct / 8) continue;
    if (std::stoll(vocabulary.value_text(row - 1)) >= std::stoll(vocabulary.value_text(row))) fail("row {} is out of order", row);
  }
  std::fprintf(stderr, "%lld distinct ids in %lld rows: %.1f s, %.1f s of a processor, peak %.3f GiB, learnt within %.3f GiB\n",
               static_cast<long long>(distinct), static_cast<long long>(rows), wall, processor, gibibytes(peak), gib);
  std::fputs(fmt::format(R"({{"case":"vocabulary: {} distinct ids","ours":{:.1f},"peer":null,"ratio":null,"peak_gib":{:.3f},"limit_gib":{:.3f}}})" "\n",
                         distinct, wall, gibibytes(peak), gib)
                 .c_str(),
             stdout);
}

}  // namespace

int main(int argc, char** argv) {
  namespace options = boost::program_options;
  double gib = 0.0;
  std::string directory;
  bench::Arguments arguments{.no_peer = "no peer is measured here"};
  options::options_description more;
  more.add_options()("gib", options::value(&gib)->value_name("LIMIT"), "of memory (default 0.5; --quick: 0.02)")(
      "directory", options::value(&directory)->value_name("DIR")->default_value("/var/tmp"), "for what does not fit");
  constexpr std::string_view kDescription =
      "Learns a vocabulary of 10^8 distinct ids (--quick: 2 * 10^6) within a limit of memory, and checks every row of it.";
  return bench::run_bench(argc, argv, arguments, kDescription, [&] {
    if (gib == 0.0) gib = arguments.quick ? 0.02 : 0.5;
    run(arguments.quick ? 2'000'000 : 100'000'000, gib, directory);
  }, more);
}
