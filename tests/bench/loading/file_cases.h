#pragma once

#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "app/environment.h"
#include "app/setup.h"
#include "base/error.h"
#include "base/host.h"
#include "config/parse.h"
#include "data/conversion.h"
#include "data/mds_rows.h"
#include "data/pipeline.h"
#include "bench/loading/criteo_like.h"
#include "bench/loading/peer_process.h"
#include "bench/loading/report.h"
#include "train/run_data.h"

/// From files to training batches, and what readers of other frameworks make of the same files.
namespace rechost::bench {

constexpr std::int64_t kBatch = 2048;

/// A folder of its own in $TMPDIR, else /var/tmp; gone at the end.
class BenchFolder {
 public:
  BenchFolder() {
    std::string name = app::environment_variable("TMPDIR").value_or("/var/tmp") + "/bench-data-XXXXXX";
    if (mkdtemp(name.data()) == nullptr) fail("cannot make the folder {}", name);
    path_ = name;
  }
  ~BenchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  BenchFolder(const BenchFolder&) = delete;  // one owner of the folder
  BenchFolder& operator=(const BenchFolder&) = delete;
  std::filesystem::path operator/(const char* name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

/// Opens, prepares and goes through one epoch of a split as training does, with one thread. Returns its rows.
inline std::int64_t load_once(const std::vector<std::string>& settings) {
  Config config = load_config(app::config_layers({}, settings));
  ThreadPool pool(1);
  auto loader = load_dataset(config, {.plugin_path = app::plugin_directories(), .lookup = {}, .threads = 1});
  const RunData data = open_run_data(config, std::move(loader), {}, pool);
  const Dataset& train = *data.prepared.train;
  std::int64_t rows = 0;
  Batch batch;
  for (std::int64_t first = 0; first < train.samples(); first += kBatch) {
    train.gather_range(first, std::min(kBatch, train.samples() - first), batch);
    rows += batch.rows;
  }
  return rows;
}

/// Opens the training split and decodes all of its columns, chunk by chunk. Returns its rows.
inline std::int64_t scan_once(const std::vector<std::string>& settings) {
  Config config = load_config(app::config_layers({}, settings));
  const auto loader = load_dataset(config, {.plugin_path = app::plugin_directories(), .lookup = {}, .threads = 1});
  const std::vector<SplitSource> splits = open_splits(*loader, {});
  ChunkSource& source = *splits.front().source;
  std::vector<std::uint32_t> all(source.columns().size());
  std::iota(all.begin(), all.end(), 0U);
  std::int64_t rows = 0;
  for (std::int64_t chunk = 0; chunk < source.chunk_count(); ++chunk) {
    rows += source.read(chunk, all, [](BadRow&&) { fail("the data of the bench has a bad row"); })->rows();
  }
  return rows;
}

inline std::unique_ptr<PeerProcess> start_peers() {
  const auto cache = std::filesystem::path(app::environment_variable("RECHOST_CACHE").value_or(app::environment_variable("HOME").value_or("") + "/.cache/rechost"));
  const auto python = cache / "venv-mosaic/bin/python";
  const auto packages = cache / "venv-parquet/lib/python3.11/site-packages";
  for (const auto& [path, script] : {std::pair{python, "packaging/mosaic"}, {packages, "packaging/parquet-peers"}}) {
    if (!std::filesystem::exists(path)) fail("{} is missing: run {}", path.string(), script);
  }
  return std::make_unique<PeerProcess>(python, app::program_directory() / "../../../tests/bench/loading/peers.py", packages.string());
}

class FileCases {
 public:
  FileCases(Report& report, bool quick, PeerProcess* peer) : report_(report), rows_(quick ? 400'000 : 1'500'000), rounds_(quick ? 2 : 4), peer_(peer) {}
  /// `only`: one format, empty: all.
  void run(const std::string& only) {
    const auto rows = std::make_unique<CriteoLike>(rows_);
    Report::note("from files to batches of 2048, one thread:");
    if (only.empty() || only == "mds") measure_mds(*rows);
    if (only.empty() || only == "parquet") measure_parquet(*rows);
    if (only.empty() || only == "text") measure_text(*rows);
  }

  /// What reads such files, with ids counted ("vocabulary") or hashed.
  static std::vector<std::string> settings(const std::string& plugin, const std::string& path, const std::string& encoder) {
    std::vector<std::string> list{"data.plugin=\"" + plugin + "\"", "data.path=\"" + path + "\"", "data.shuffle=\"none\"",
                                  "data.memory_gib=4", "data.split.valid=0.0", "data.split.test=0.0"};
    if (plugin != "criteo") {
      std::string dense, sparse;
      for (std::size_t i = 1; i <= kDense; ++i) dense += fmt::format("{}\"I{}\"", i == 1 ? "" : ", ", i);
      for (std::size_t i = 1; i <= kSparse; ++i) sparse += fmt::format("{}\"C{}\"", i == 1 ? "" : ", ", i);
      list.insert(list.end(), {"data.label=[\"label\"]", "data.dense=[" + dense + "]", "data.sparse=[" + sparse + "]"});
    }
    const std::string features = plugin == "criteo" ? "features.\"c*\"." : "features.\"C*\".";
    if (encoder == "hash") list.insert(list.end(), {features + "encoder=\"hash\"", features + "hash_rows=1000000"});
    return list;
  }

 private:
  using Other = std::function<Round()>;

  /// Ours and the others in turns; the fastest of the others is the peer.
  void compare(const std::string& name, double limit_alone, double limit_ratio, const std::vector<std::string>& settings,
               const std::vector<std::pair<std::string, Other>>& others) {
    compare(name, limit_alone, limit_ratio, [&] { return load_once(settings); }, others);
  }

  void compare(const std::string& name, double limit_alone, double limit_ratio, const std::function<std::int64_t()>& load,
               const std::vector<std::pair<std::string, Other>>& others) {
    Side ours;
    std::vector<Side> theirs(others.size());
    for (int round = 0; round < rounds_; ++round) {
      // Twice: while the others ran, the kernel may have given the memory of the last load away. Theirs is kept by processes that go on running.
      for (int again = 0; again < 2; ++again) ours.rounds.push_back(time_round(load));
      for (std::size_t i = 0; i < others.size(); ++i) theirs[i].rounds.push_back(others[i].second());
    }
    report_.line(name, ours, nullptr, limit_alone);
    std::size_t best = 0;
    for (std::size_t i = 0; i < others.size(); ++i) {
      if (theirs[i].best() > theirs[best].best()) best = i;
    }
    for (std::size_t i = 0; i < others.size(); ++i) report_.line(name + ": " + others[i].first, ours, &theirs[i], i == best ? limit_ratio : 0.0);
  }

  Other ask(Json request) {
    return [this, request = std::move(request)] { return peer_->run(request); };
  }

  void measure_mds(CriteoLike& rows) {
    for (const char* compression : {"", "zstd"}) {
      const bool packed = *compression != 0;
      const auto folder = folder_ / (packed ? "mds-zstd" : "mds");
      convert(rows, MdsFolder(folder, mds_columns(rows), {.compression = MdsCompression(compression)}), usable_cores());
      std::vector<std::pair<std::string, Other>> others;
      if (packed) {
        std::vector<std::string> command{"zstd", "-d", "-q", "-c"};
        for (const auto& entry : std::filesystem::directory_iterator(folder)) {
          if (entry.path().extension() == ".zstd") command.push_back(entry.path().string());
        }
        others.emplace_back("zstd -d alone", [this, command] { return run_program(command, static_cast<double>(rows_)); });
      }
      if (peer_ && !packed) {
        for (const int workers : {0, 2}) {
          others.emplace_back(fmt::format("mosaicml-streaming, DataLoader of {} workers", workers),
                              ask({{"kind", "mosaic"}, {"path", folder.string()}, {"workers", workers}, {"rows", 10 * kBatch}, {"batch", kBatch}}));
        }
      }
      compare(packed ? "MDS, zstd" : "MDS", packed ? 0 : 2e6, packed ? 0.6 : 300, settings("mds", folder, "hash"), others);
    }
  }

  /// pyarrow writes the file.
  void measure_parquet(const CriteoLike& rows) {
    if (!peer_) return Report::note("Parquet: pyarrow writes the file, so only with --peers");
    const std::string raw = (folder_ / "columns.bin").string(), path = (folder_ / "clicks.parquet").string();
    rows.write_columns(raw);
    peer_->run({{"kind", "write_parquet"}, {"source", raw}, {"target", path}, {"rows", rows_}});
    std::filesystem::remove(raw);
    const auto peer = [&](std::int64_t batch, bool stack) {
      return std::pair{fmt::format("pyarrow, batches of {}, {}", batch, stack ? "stacked" : "columns"),
                       ask({{"kind", "parquet"}, {"path", path}, {"batch", batch}, {"stack", stack}})};
    };
    // A column for a column, then batches as a model takes them: dense, ids and labels each in one block.
    compare("Parquet, snappy, columns", 0, 1.2, [&] { return scan_once(settings("parquet", path, "hash")); }, {peer(kBatch, false), peer(65536, false)});
    compare("Parquet, snappy, into batches", 0, 1.2, settings("parquet", path, "hash"), {peer(kBatch, true)});
  }

  void measure_text(const CriteoLike& rows) {
    const std::string path = (folder_ / "clicks.tsv").string();
    rows.write_tsv(path);
    std::vector<std::pair<std::string, Other>> readers, encoders;
    if (peer_) {
      for (const bool texts : {false, true}) {
        const std::string how = texts ? "ids as text" : "types inferred";
        readers.emplace_back("pyarrow.csv reads, " + how, ask({{"kind", "arrow_csv"}, {"path", path}, {"texts", texts}}));
        readers.emplace_back("polars reads, " + how, ask({{"kind", "polars_csv"}, {"path", path}, {"texts", texts}, {"dictionary", false}}));
      }
      encoders.emplace_back("polars reads and dictionary-encodes", ask({{"kind", "polars_csv"}, {"path", path}, {"texts", true}, {"dictionary", true}}));
    }
    compare("Criteo TSV, hashed", 0, 1.5, settings("criteo", path, "hash"), readers);
    compare("Criteo TSV, vocabularies", 0, 3, settings("criteo", path, "vocabulary"), encoders);
  }

  Report& report_;
  const std::int64_t rows_;
  const int rounds_;
  const BenchFolder folder_;
  PeerProcess* peer_;  ///< null: ours alone
};

inline void measure_files(Report& report, bool quick, PeerProcess* peer, const std::string& only) { FileCases(report, quick, peer).run(only); }

}  // namespace rechost::bench
