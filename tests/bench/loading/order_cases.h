#pragma once

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/error.h"
#include "bench/loading/peer_process.h"
#include "bench/loading/report.h"
#include "data/order.h"

/// What the order of samples costs: none of these cases reads a row.
namespace rechost::bench {

/// Of this process, now.
inline double resident_megabytes() {
  std::FILE* const file = std::fopen("/proc/self/statm", "r");
  long pages = 0;
  long resident = 0;
  if (file == nullptr || std::fscanf(file, "%ld %ld", &pages, &resident) != 2) fail("/proc/self/statm cannot be read");
  std::fclose(file);
  return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE)) / 1e6;
}

class OrderCases {
 public:
  /// `peer` null: ours alone.
  OrderCases(Report& report, bool quick, PeerProcess* peer) : report_(report), quick_(quick), peer_(peer) {}

  void run() {
    for (const char* const shuffle : {"full", "chunk", "buffer"}) billion(shuffle);
    for (const char* const algorithm : {"naive", "py1s", "py2s", "py1br", "py1e"}) epoch_of_mosaic(algorithm);
  }

 private:
  static constexpr std::int64_t kChunkRows = 65536;

  static std::vector<std::int64_t> chunks(std::int64_t samples) {
    std::vector<std::int64_t> sizes(static_cast<std::size_t>(samples / kChunkRows), kChunkRows);
    if (samples % kChunkRows != 0) sizes.push_back(samples % kChunkRows);
    return sizes;
  }

  /// Batches all over an epoch of 10^9 samples.
  void billion(const std::string& shuffle) {
    constexpr std::int64_t kSamples = 1'000'000'000;
    constexpr std::int64_t kBatch = 16384;
    const double before = resident_megabytes();
    const SampleOrder order({.shuffle = parse_shuffle(shuffle), .seed = 1, .batch_size = kBatch}, chunks(kSamples));
    const std::int64_t every = quick_ ? 50 : 10;
    std::vector<std::int64_t> samples;
    // 20 ns a sample is what is asked of "full".
    report_.measure(fmt::format("order \"{}\" of 10^9 samples, 1 thread", shuffle), shuffle == "full" ? 1e9 / 20 : 0.0, [&] {
      std::int64_t done = 0;
      for (std::int64_t step = 0; step < order.steps_per_epoch(); step += every) {
        order.batch({0, step}, {}, samples);
        done += static_cast<std::int64_t>(samples.size());
      }
      return done;
    });
    const double used = resident_megabytes() - before;
    Report::note(fmt::format("  its memory: {:.1f} MB (limit 50){}", used, used < 50 ? "" : "  missed"));
  }

  /// The plan of a whole epoch, as StreamingDataset makes it, on a job of 2 nodes with 4 ranks each.
  void epoch_of_mosaic(const std::string& algorithm) {
    const std::int64_t samples = quick_ ? 1'000'000 : 10'000'000;
    constexpr std::int64_t kBatch = 2048;
    const MosaicSection mosaic{.shuffle_algo = algorithm, .num_canonical_nodes = 8, .nodes = 2, .ranks_per_node = 4};
    const double before = resident_megabytes();
    double used = 0.0;
    const auto ours = [&] {
      const MosaicOrder order(mosaic, kBatch, 0, {{.chunk_samples = chunks(samples)}}, {});
      std::vector<std::int64_t> batch;
      std::int64_t done = 0;
      for (std::int64_t step = 0; step < order.steps(0); ++step) {
        order.batch(0, step, 0, order.batch_rows(0, step), batch);
        done += static_cast<std::int64_t>(batch.size());
      }
      used = std::max(used, resident_megabytes() - before);
      return done;
    };
    const std::string name = fmt::format("order \"mosaic\", {}, an epoch of {:g} samples", algorithm, static_cast<double>(samples));
    if (peer_ == nullptr) {
      report_.measure(name, 0.0, ours);
    } else {
      Side side;
      Side peer;
      for (int round = 0; round < report_.rounds(); ++round) {
        side.rounds.push_back(time_round(ours));
        peer.rounds.push_back(peer_->run({{"kind", "mosaic_order"}, {"algorithm", algorithm}, {"samples", samples}, {"chunk", kChunkRows}, {"batch", kBatch}}));
      }
      report_.line(name, side, &peer, 1.0);
    }
    Report::note(fmt::format("  its memory: {:.1f} MB, {:.1f} bytes a sample", used, used * 1e6 / static_cast<double>(samples)));
  }

  Report& report_;
  bool quick_;
  PeerProcess* peer_;
};

}  // namespace rechost::bench
