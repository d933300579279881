#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "app/setup.h"
#include "base/file.h"
#include "base/json.h"
#include "config/sections.h"
#include "tracking/mlflow_sender.h"
#include "tracking/mlflow_spool.h"
#include "tracking/run_directory.h"

namespace rechost::app {

/// What the environment adds to [tracking]: MLFLOW_TRACKING_URI and MLFLOW_EXPERIMENT_NAME where the configuration is silent. Throws
/// ConfigError for an address that cannot be used or holds a password.
void resolve_tracking(Config& config);

/// Whether it names a server; after resolve_tracking().
bool tracks_mlflow(const Config& config);

/// The server of [tracking.mlflow], with what the environment says of it: MLFLOW_TRACKING_USERNAME and _PASSWORD, else MLFLOW_TRACKING_TOKEN;
/// MLFLOW_TRACKING_SERVER_CERT_PATH, MLFLOW_TRACKING_INSECURE_TLS.
MlflowServer mlflow_server(const MlflowSection& section);

/// How the MLflow run of that directory is called, and where.
MlflowBeginning beginning_of(const MlflowSection& section, const std::filesystem::path& run_directory, WallTime start);

/// The configuration as params and as artifact, the tags that the user gave and those that say where the run comes from.
void spool_origin(MlflowSpool& spool, const Config& config, const std::filesystem::path& run_directory);

/// What of a run's directory the server gets when the run has ended, with the tags that say how.
void spool_results(MlflowSpool& spool, const MlflowSection& section, const std::filesystem::path& run_directory, const Json& summary);

/// Tells trackers of the run. Only rank 0 has one: the others' numbers reach it through the metrics of the run. Where the configuration names
/// no server it does nothing. Nothing here waits for a network but finish().
class RunTracker {
 public:
  /// Tells configuration and origin of the run. `first_step` > 0: resumed there. Throws Error when the spool cannot be used.
  RunTracker(const Setup& setup, const RunDirectory& directory, std::int64_t first_step);

  void data(const RunData& data);
  void metrics(std::int64_t step, const Json& fields);
  void checkpoint(const std::filesystem::path& path);

  /// After summary and report are written: what they say, the status, and what is not sent yet, for as long as tracking.mlflow.flush_seconds.
  /// Does not throw.
  void finish(RunStatus status, const Json& summary);

 private:
  MlflowSection section_;
  std::filesystem::path directory_;
  std::unique_ptr<LockFile> lock_;
  std::unique_ptr<MlflowSpool> spool_;  ///< null: not tracked
  std::unique_ptr<MlflowSender> sender_;
};

}  // namespace rechost::app
