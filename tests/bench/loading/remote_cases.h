#pragma once

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "bench/loading/file_cases.h"
#include "bench/loading/piped_process.h"
#include "data/order.h"

/// Training from a web server with 50 ms to the first byte and 20 MB/s, beside the same from the disk.
namespace rechost::bench {

/// throttled_server.py with a folder, for as long as this object lives.
class ThrottledServer {
 public:
  ThrottledServer(const std::filesystem::path& folder, double delay_seconds, double bytes_per_second)
      : process_({"python3", (app::program_directory() / "../../../tests/bench/loading/throttled_server.py").string(), folder.string(),
                  fmt::format("{}", delay_seconds), fmt::format("{}", bytes_per_second)}),
        address_(process_.read_line()) {
    if (!address_.starts_with("http://")) fail("throttled_server.py did not start: it says '{}'", address_);
  }
  const std::string& address() const { return address_; }

 private:
  PipedProcess process_;
  std::string address_;
};

/// Bytes of this process in memory, now.
inline std::uint64_t resident_bytes() {
  unsigned long long all = 0, resident = 0;
  if (std::FILE* const file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%llu %llu", &all, &resident) != 2) resident = 0;
    std::fclose(file);
  }
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

class RemoteCases {
 public:
  RemoteCases(Report& report, bool quick) : report_(report), rows_(quick ? 400'000 : 800'000), rounds_(quick ? 1 : 2) {}

  void run() {
    Report::note("training from afar, 50 ms to the first byte and 20 MB/s, beside the same from the disk:");
    const auto shards = folder_ / "served" / "train";
    write_shards(shards);
    const ThrottledServer server(folder_ / "served", 0.05, 20e6);
    std::vector<Epoch> near, far;
    for (int round = 0; round < rounds_; ++round) {
      near.push_back(train_once(shards.string(), round));
      far.push_back(train_once(server.address() + "/train", round));
    }
    const auto quickest = [](const Epoch& a, const Epoch& b) { return a.step_seconds < b.step_seconds; };
    const Epoch local = *std::min_element(near.begin(), near.end(), quickest);
    const Epoch remote = *std::min_element(far.begin(), far.end(), quickest);
    Report::Times times{.ours = remote.step_seconds, .peer = local.step_seconds, .limit = 1.05};
    times.spread = 1.0 - remote.step_seconds / std::max_element(far.begin(), far.end(), quickest)->step_seconds;
    times.more = {{"work_seconds", kWork.count()},       {"data_bytes", data_bytes_},           {"cache_bytes", kCacheBytes},
                  {"resident_bytes", remote.resident},   {"local_resident_bytes", local.resident}, {"first_batch_seconds", remote.first_seconds}};
    report_.times(fmt::format("step of {:.0f} ms, data throttled remote", 1e3 * kWork.count()), times);
    const auto mib = [](std::uint64_t bytes) { return static_cast<double>(bytes) / (1 << 20); };
    Report::note(fmt::format("resident at most {:.0f} MiB (local: {:.0f} MiB), of {:.0f} MiB of data with a cache of {:.0f} MiB; the first batch came after "
                             "{:.2f} s (local: {:.2f} s)",
                             mib(remote.resident), mib(local.resident), mib(data_bytes_), mib(kCacheBytes), remote.first_seconds, local.first_seconds));
  }

 private:
  /// 2048 rows are 540 kB: steps of 40 ms take two thirds of the line.
  static constexpr std::chrono::duration<double> kWork{0.04};
  static constexpr std::uint64_t kCacheBytes = std::uint64_t{64} << 20;

  struct Epoch {
    double step_seconds = 0.0;   ///< of a step, once the first batch was there
    double first_seconds = 0.0;  ///< until then
    std::uint64_t resident = 0;  ///< at most
  };

  void write_shards(const std::filesystem::path& path) {
    CriteoLike rows(rows_);
    std::filesystem::create_directories(path.parent_path());
    convert(rows, MdsFolder(path, mds_columns(rows), {.shard_bytes = 8 << 20}), 1);
    for (const auto& file : std::filesystem::directory_iterator(path)) data_bytes_ += file.file_size();
  }

  /// One epoch; of a step that stands for a model's work it waits the time.
  Epoch train_once(const std::string& path, int round) {
    std::vector<std::string> settings = FileCases::settings("mds", path, "hash");
    for (const std::string& each :
         {std::string("data.shuffle=\"chunk\""), std::string("data.shuffle_chunks=2"), std::string("data.memory_gib=0.05"),
          fmt::format("data.cache=\"{}\"", (folder_ / fmt::format("cache-{}", round).c_str()).string()),
          fmt::format("data.cache_gib={}", static_cast<double>(kCacheBytes) / (1 << 30))}) {
      settings.push_back(each);
    }
    Config config = load_config(app::config_layers({}, settings));
    ThreadPool pool(1);
    auto loader = load_dataset(config, {.plugin_path = app::plugin_directories(), .lookup = {}, .threads = 1});
    const RunData data = open_run_data(config, std::move(loader), {}, pool);
    const Dataset& train = *data.prepared.train;
    if (train.resident()) fail("the rows stay in memory: nothing would be read while training");
    const SampleOrder order({.shuffle = Shuffle::kChunk, .seed = 1, .batch_size = kBatch, .window_chunks = 2}, train.streams());
    Epoch epoch;
    auto begin = std::chrono::steady_clock::now();
    BatchPipeline pipeline(train, order, {.end_step = order.steps_per_epoch(), .prefetch = 4, .threads = 1});
    Batch batch;
    std::int64_t steps = 0;
    for (; pipeline.next(batch); ++steps) {
      if (steps == 0) {
        epoch.first_seconds = seconds_since(begin);
        begin = std::chrono::steady_clock::now();
      }
      std::this_thread::sleep_for(kWork);
      epoch.resident = std::max(epoch.resident, resident_bytes());
    }
    epoch.step_seconds = seconds_since(begin) / static_cast<double>(steps);
    return epoch;
  }

  Report& report_;
  const std::int64_t rows_;
  const int rounds_;
  const BenchFolder folder_;
  std::uint64_t data_bytes_ = 0;
};

}  // namespace rechost::bench
