#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/time.h"

namespace rechost {

enum class RunStatus {
  kRunning,
  kFinished,
  kFailed,   ///< ended with an error
  kStopped,  ///< stopped early, with a checkpoint written
  kKilled,   ///< its process is gone and said nothing: never written, only seen
};
std::string_view run_status_name(RunStatus status);

/// The directory of one training run, owned by rank 0. Everything is written as it happens: after a crash the files hold all up to it.
/// Threads may call event() and metrics() at the same time.
class RunDirectory {
 public:
  /// Makes `<root>/<name>-<UTC>/`; two runs that start in the same second get different directories. `name` may hold letters, digits,
  /// '.', '_' and '-'. Throws ConfigError for a bad name, Error when the disk refuses.
  static RunDirectory create(const std::filesystem::path& root, std::string_view name, std::string_view config_text);

  /// Goes on in an existing directory from the checkpoint of `step`: lines of metrics.jsonl after that step are cut, so that no step is
  /// there twice. Throws Error when the run is still alive or `path` is not a run. `config_text` replaces config.toml.
  static RunDirectory resume(const std::filesystem::path& path, std::int64_t step, std::string_view config_text);

  RunDirectory(RunDirectory&&) noexcept;
  RunDirectory& operator=(RunDirectory&&) noexcept;
  /// Writes nothing: a run that ends without finish() is one that was killed.
  ~RunDirectory();

  const std::filesystem::path& path() const;
  std::string name() const { return path().filename().string(); }
  std::filesystem::path checkpoints() const { return path() / "checkpoints"; }
  std::filesystem::path tensorboard() const { return path() / "tensorboard"; }
  std::filesystem::path quarantine() const { return path() / "quarantine"; }

  /// Appends {"time": ..., "event": kind, ...fields} to events.jsonl and flushes.
  void event(std::string_view kind, const Json& fields = Json::object());

  /// Appends {"step": ..., "time": ..., ...fields} to metrics.jsonl and flushes.
  void metrics(std::int64_t step, const Json& fields);

  /// Writes summary.json with "run_dir" and "status" before the caller's fields, and the last event. kFinished, kFailed or kStopped; once.
  /// Returns the summary as written.
  Json finish(RunStatus status, const Json& summary);

 private:
  struct Files;
  explicit RunDirectory(std::unique_ptr<Files> files);

  std::unique_ptr<Files> files_;
};

/// What can be said of a run from outside.
struct RunRecord {
  std::filesystem::path path;
  std::string name;  ///< of the directory
  RunStatus status = RunStatus::kKilled;
  std::string started;                    ///< UTC, from the first event; "" unknown
  std::optional<std::int64_t> last_step;  ///< of metrics.jsonl
  Json summary = Json::object();          ///< empty until the run has ended
};

/// The name that the run was given, from that of its directory: "dlrm" of "dlrm-20260101-120000-2". "" when it is not such a name.
std::string given_name(std::string_view directory_name);

/// Throws Error when `path` is not a run directory.
RunRecord inspect_run(const std::filesystem::path& path);

/// Runs under `root`, newest first (by start). A missing root: none. Directories that are no runs are left out.
std::vector<RunRecord> list_runs(const std::filesystem::path& root);

/// Lines of a metrics.jsonl, oldest first. A last line cut short by a crash is left out. Throws Error for any other bad line.
std::vector<Json> read_json_lines(const std::filesystem::path& path);

}  // namespace rechost
