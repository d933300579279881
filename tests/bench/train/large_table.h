#pragma once

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/file.h"
#include "base/time.h"
#include "bench/peers/rounds.h"
#include "bench/train/cases.h"
#include "bench/train/our_side.h"
#include "core/folder.h"

namespace rechost::bench {

/// The most memory that this process has held at once, in bytes, since forget_peak_memory().
inline double peak_memory() {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("VmHWM:")) return 1024.0 * std::stod(line.substr(6));
  }
  fail("/proc/self/status does not say how much memory was held");
}

inline void forget_peak_memory() {
  std::ofstream file("/proc/self/clear_refs");
  file << "5";
  if (!file.flush()) fail("/proc/self/clear_refs cannot be written");
}

/// Seconds that dd takes to write so many MiB to `path` and have them on the disk.
inline double time_dd(const std::filesystem::path& path, std::uint64_t mebibytes) {
  const auto begin = std::chrono::steady_clock::now();
  const std::string command = fmt::format("dd if=/dev/zero of={} bs=1M count={} conv=fsync 2>/dev/null", path.string(), mebibytes);
  if (std::system(command.c_str()) != 0) fail("`{}` failed", command);
  const double seconds = seconds_since(begin);
  std::filesystem::remove(path);
  return seconds;
}

/// One table of very many rows through its life: made, trained for 1,000 steps, written to a checkpoint, read back. Memory beside what
/// `rechost plan` says, the checkpoint beside dd on the same disk, in turns.
inline void measure_large_table(std::int64_t rows, int threads, bool quick) {
  constexpr double kMemoryTarget = 0.1;
  constexpr double kDiskTarget = 0.7;
  const std::string name = fmt::format("table of {:.0e} rows", static_cast<double>(rows));
  const test::Folder folder;
  std::vector<std::string> settings = common_settings(2048, 64, 13, {rows});
  add(settings, {"model.embedding_dim=16", "model.bottom_mlp=[64, 16]", "model.top_mlp=[64]", "optimizer.sparse.kind=\"rowwise_adagrad\""});

  forget_peak_memory();
  auto begin = std::chrono::steady_clock::now();
  OurTraining training("dlrm", settings, threads);
  const double making = seconds_since(begin);
  const std::int64_t steps = quick ? 20 : 1000;
  begin = std::chrono::steady_clock::now();
  training.train(steps);
  const double step = seconds_since(begin) / static_cast<double>(steps);
  const double planned = training.planned_memory();
  const double held = peak_memory();

  Rounds writing, reading, dd;
  double bytes = 0.0;
  for (int round = 0; round < (quick ? 1 : 3); ++round) {
    begin = std::chrono::steady_clock::now();
    const std::filesystem::path checkpoint = training.save(folder.path() / "checkpoints");
    writing.add(seconds_since(begin));
    bytes = 0.0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(checkpoint)) bytes += entry.is_regular_file() ? static_cast<double>(entry.file_size()) : 0.0;
    begin = std::chrono::steady_clock::now();
    training.load(checkpoint);
    reading.add(seconds_since(begin));
    std::filesystem::remove_all(folder.path() / "checkpoints");
    dd.add(time_dd(folder.path() / "dd", static_cast<std::uint64_t>(bytes) >> 20));
  }
  const double share = dd.median() / writing.median();
  const double off = planned / held - 1.0;
  const double gb = 1e-9 * bytes;
  std::fputs(fmt::format("{}: made in {:.1f} s; step {:.0f} us; memory {:.2f} GB planned, {:.2f} GB held, {:+.1f} %{}; checkpoint of {:.2f} GB {:.2f} GB/s +-{:.0f}, dd {:.2f} GB/s +-{:.0f}, "
                         "{:.2f} of it{}; read back at {:.2f} GB/s\n",
                         name, making, 1e6 * step, 1e-9 * planned, 1e-9 * held, 100.0 * off, std::abs(off) <= kMemoryTarget ? "" : "  missed", gb, gb / writing.median(),
                         100.0 * writing.spread(), gb / dd.median(), 100.0 * dd.spread(), share, share >= kDiskTarget ? "" : "  missed", gb / reading.median())
                 .c_str(),
             stderr);
  Json line = Json::object();
  line["case"] = "train: " + name;
  line["threads"] = threads;
  line["rows"] = rows;
  line["make_seconds"] = making;
  line["step_us"] = 1e6 * step;
  line["planned_bytes"] = planned;
  line["held_bytes"] = held;
  line["memory_error"] = off;
  line["memory_error_limit"] = kMemoryTarget;
  line["checkpoint_bytes"] = bytes;
  line["checkpoint_seconds"] = writing.median();
  line["dd_seconds"] = dd.median();
  line["share_of_dd"] = share;
  line["share_of_dd_target"] = kDiskTarget;
  line["restore_seconds"] = reading.median();
  line["machine"] = machine();
  std::fputs((json_line(line) + "\n").c_str(), stdout);
  std::fflush(stdout);
}

}  // namespace rechost::bench
