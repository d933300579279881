#include "app/sync_command.h"

#include <chrono>
#include <csignal>
#include <filesystem>
#include <limits>
#include <thread>

#include "app/command.h"
#include "app/run_tracker.h"
#include "app/setup.h"
#include "base/error.h"
#include "base/log.h"
#include "base/time.h"
#include "config/parse.h"
#include "tracking/mlflow_delivery.h"
#include "tracking/mlflow_spool.h"
#include "tracking/run_directory.h"

namespace rechost::app {

namespace fs = std::filesystem;
namespace options = boost::program_options;

namespace {

/// A server that answers nothing so often in a row is away; in between 1, 2, 4 ... seconds.
constexpr int kAttempts = 5;

/// When anything was last heard of the run.
WallTime last_sign_of_life(const fs::path& run) {
  WallTime last{};
  for (const char* name : {"events.jsonl", "metrics.jsonl"}) {
    if (!fs::exists(run / name)) continue;
    const std::vector<Json> lines = read_json_lines(run / name);
    if (!lines.empty()) last = std::max(last, parse_utc(lines.back().value("time", "")));
  }
  return last;
}

std::string_view mlflow_status(RunStatus status) {
  return status == RunStatus::kFinished ? "FINISHED" : status == RunStatus::kFailed ? "FAILED" : "KILLED";
}

/// Makes the spool of a run that was not tracked while it went on, from what its directory holds.
void spool_untracked(const RunRecord& run, const Config& config) {
  MlflowSpool spool(run.path, beginning_of(config.tracking.mlflow, run.path, parse_utc(run.started)), std::numeric_limits<std::int64_t>::max());
  spool_origin(spool, config, run.path);
  spool_results(spool, config.tracking.mlflow, run.path, run.summary);
  spool.status(mlflow_status(run.status), last_sign_of_life(run.path));
}

/// Sends all; returns how many records that were.
std::int64_t deliver(MlflowDelivery& delivery) {
  const std::int64_t count = delivery.undelivered();
  std::chrono::seconds pause{1};
  for (int failures = 0;;) {
    try {
      while (delivery.step()) {
        failures = 0;
        pause = std::chrono::seconds{1};
      }
      return count;
    } catch (const MlflowUnavailable& failure) {
      if (++failures == kAttempts) {
        fail("MLflow does not answer: {}. {} of {} records are sent; the same command goes on", failure.what(), count - delivery.undelivered(), count);
      }
      if (failures == 1) log_warning("{}; trying again", failure.what());
      const double asked = failure.retry_after_seconds.value_or(0.0);
      std::this_thread::sleep_for(std::max(pause, std::chrono::seconds{static_cast<std::int64_t>(std::min(asked, 600.0))}));
      pause *= 2;
    } catch (const MlflowRefused& refused) {
      fail("MLflow refuses: {}{}", refused.what(), mlflow_advice(refused));
    }
  }
}

}  // namespace

int runs_sync_command(std::span<const std::string> arguments) {
  options::options_description visible("Options");
  visible.add_options()("run", options::value<std::string>(), "run directory")(
      "uri", options::value<std::string>(), "address of the MLflow server; else tracking.mlflow.uri of the run, else MLFLOW_TRACKING_URI")(
      "experiment", options::value<std::string>(), "for a run that was not tracked; else that of the run, else MLFLOW_EXPERIMENT_NAME, else Default");
  add_output_option(visible);
  options::positional_options_description positional;
  positional.add("run", 1);
  options::variables_map values;
  if (!parse_arguments(find_command("runs", "sync"), arguments, visible, positional, values)) return kDone;
  if (values.count("run") == 0) throw UsageError("which run? rechost runs list shows them");
  const bool json = wants_json(values);
  const RunRecord run = inspect_run(fs::weakly_canonical(values["run"].as<std::string>()));
  if (run.status == RunStatus::kRunning) fail("run {} is still going on, and sends by itself", run.path.string());
  std::vector<std::string> settings;
  for (const char* name : {"uri", "experiment"}) {
    if (values.count(name) == 0) continue;
    const ConfigNode value{.value = values[name].as<std::string>(), .origin = {}, .typed = {}};
    settings.push_back(fmt::format("tracking.mlflow.{}={}", name, value.text()));
  }
  Config config = requested_config(std::nullopt, {(run.path / "config.toml").string()}, settings);
  if (!tracks_mlflow(config)) throw UsageError("where to? --uri http://host:port, or MLFLOW_TRACKING_URI");
  std::signal(SIGPIPE, SIG_IGN);  // a connection that breaks is not the end

  const LockFile lock = lock_mlflow_spool(run.path);
  const MlflowSpoolFiles files(run.path);
  if (!fs::exists(files.records)) {
    spool_untracked(run, config);
  } else if (values.count("experiment") != 0) {
    throw UsageError("--experiment is for a run that was not tracked; this one has its experiment");
  }
  Spool records(files.records);
  end_mlflow_spool(records, last_sign_of_life(run.path));
  const MlflowServer server = mlflow_server(config.tracking.mlflow);
  MlflowClient client(server.uri, server.http, nullptr);
  MlflowDelivery delivery(files, run.path, records, client);
  const std::int64_t sent = deliver(delivery);
  if (json) {
    Json result = Json::object();
    result["run"] = run.path.string();
    result["sent"] = sent;
    result["run_id"] = delivery.state().run.run_id;
    result["page"] = delivery.page();
    print(json_line(result) + "\n");
  } else {
    print(fmt::format("{} records sent; MLflow has all of {}: {}\n", sent, run.path.string(), delivery.page()));
  }
  return kDone;
}

}  // namespace rechost::app
