// What loading costs on a Criteo-like split (13 dense columns, 26 id columns with Zipf-distributed values, one label). First the data floor
// alone, from memory: learning the vocabularies, encoding, assembling batches, negatives; the order of samples. Then from files to batches,
// loader and all, with --peers beside the readers of other frameworks: the same files, in turns.
//
// Speeds are per second of processor time, because the aims are per core and benches often share a machine; the table has wall time beside.
// A table goes to standard error, one JSON object per case to standard output.

#include <cmath>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "app/environment.h"
#include "data/negative_sampler.h"
#include "data/pipeline.h"
#include "data/prepare.h"
#include "bench/arguments.h"
#include "bench/loading/criteo_like.h"
#include "bench/loading/file_cases.h"
#include "bench/loading/order_cases.h"
#include "bench/loading/remote_cases.h"
#include "bench/loading/report.h"

namespace {

using namespace rechost;
using namespace rechost::bench;

void measure_floor(Report& report, bool quick) {
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
        order.batch({0, step}, {}, samples);
        train.gather(samples, batch);
      }
      return rows;
    });
  }
  const SampleOrder order({Shuffle::kFull, 1, 2048}, train.chunk_samples());
  report.measure("order alone, samples, 1 thread", 0, [&] {
    for (std::int64_t step = 0; step < order.steps_per_epoch(); ++step) order.batch({1, step}, {}, samples);
    return rows;
  });
  report.measure("pipeline with 1 worker, batches of 2048, rows", 3e6, [&] {
    BatchPipeline pipeline(train, order, {.end_step = order.steps_per_epoch(), .prefetch = 4, .threads = 1});
    while (pipeline.next(batch)) {
    }
    return rows;
  });

  const Vocabulary& largest = prepared.vocabularies->at("C26");
  const NegativeSampler sampler(largest.counts().all(), 0.75, 1);
  std::vector<std::int32_t> negatives(1 << 16);
  report.measure(fmt::format("draw negatives of {} entries, 1 thread", largest.rows()), 0, [&] {
    for (std::int64_t step = 0; step < 16; ++step) sampler.draw(step, 0, negatives);
    return 16 * static_cast<std::int64_t>(negatives.size());
  });
}

}  // namespace

int main(int argc, char** argv) {
  app::keep_freed_memory();
  Arguments arguments;
  constexpr std::string_view kDescription =
      "Speed of vocabularies, encoding and batches, from memory and from files. --only: floor, order, remote, mds, parquet or text.\n"
      "--peers: beside mosaicml-streaming, pyarrow, polars and zstd (packaging/mosaic and packaging/parquet-peers).";
  return run_bench(argc, argv, arguments, kDescription, [&] {
    const bool quick = arguments.quick;
    const std::string& only = arguments.only;
    Report report(quick ? 2 : 5);
    const std::unique_ptr<PeerProcess> peer = arguments.peers ? start_peers() : nullptr;
    if (arguments.wants("floor")) measure_floor(report, quick);
    if (arguments.wants("order")) OrderCases(report, quick, peer.get()).run();
    if (arguments.wants("remote")) RemoteCases(report, quick).run();
    if (only != "floor" && only != "order" && only != "remote") measure_files(report, quick, peer.get(), only);
  });
}
