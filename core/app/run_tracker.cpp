#include "app/run_tracker.h"

#include <pwd.h>
#include <unistd.h>

#include <chrono>

#include "app/environment.h"
#include "base/error.h"
#include "base/host.h"
#include "base/log.h"
#include "base/version.h"
#include "config/show.h"
#include "tracking/mlflow_limits.h"
#include "train/checkpoint_manifest.h"

namespace rechost::app {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kNoTracking = "none";
/// MLflow's own name for what has no other.
constexpr std::string_view kDefaultExperiment = "Default";

std::string user_name() {
  const passwd* entry = getpwuid(geteuid());
  return entry != nullptr ? entry->pw_name : std::to_string(geteuid());
}

bool is_web_address(std::string_view uri) { return uri.starts_with("http://") || uri.starts_with("https://"); }

/// "http://user:password@host/": what comes before the host is not ours to write down.
bool holds_credentials(std::string_view uri) {
  const std::size_t begin = uri.find("://");
  if (begin == std::string_view::npos) return false;
  const std::string_view authority = uri.substr(begin + 3, uri.find_first_of("/?#", begin + 3) - (begin + 3));
  return authority.find('@') != std::string_view::npos;
}

std::string origin_of(const Config& config, std::string_view key) {
  const auto found = config.origins.find(key);
  return found == config.origins.end() ? "" : found->second + ": ";
}

MlflowPairs given_tags(const MlflowSection& section) {
  MlflowPairs tags;
  for (const auto& [name, node] : section.tags.given.table()) {
    if (node.is_table() || std::holds_alternative<ConfigNode::Array>(node.value)) {
      fail<ConfigError>("{}: tracking.mlflow.tags.{}: a tag is a text, a number, true or false, not {}", node.origin, key_text(name), node.kind());
    }
    const auto* text = std::get_if<std::string>(&node.value);
    tags.emplace_back(name, text != nullptr ? *text : node.typed.empty() ? node.text() : node.typed);
  }
  return tags;
}

}  // namespace

void resolve_tracking(Config& config) {
  MlflowSection& mlflow = config.tracking.mlflow;
  constexpr const char* kUriVariable = "MLFLOW_TRACKING_URI";
  if (mlflow.uri.empty()) {
    const std::string uri = environment_variable(kUriVariable).value_or("");
    // Other programs of this user may well work with one that we do not.
    if (!uri.empty() && !is_web_address(uri)) {
      log_warning("{} is no http:// or https:// address: this run is not tracked by MLflow (tracking.mlflow.uri = \"none\" says so silently)", kUriVariable);
    } else if (!uri.empty()) {
      mlflow.uri = uri;
      config.origins["tracking.mlflow.uri"] = kUriVariable;
    }
  }
  if (mlflow.uri.empty() || mlflow.uri == kNoTracking) return;
  if (mlflow.experiment.empty()) {
    mlflow.experiment = environment_variable("MLFLOW_EXPERIMENT_NAME").value_or("");
    if (!mlflow.experiment.empty()) config.origins["tracking.mlflow.experiment"] = "MLFLOW_EXPERIMENT_NAME";
    if (mlflow.experiment.empty()) mlflow.experiment = kDefaultExperiment;
  }
  if (holds_credentials(mlflow.uri)) {
    fail<ConfigError>("{}tracking.mlflow.uri holds a user name or password, and the configuration is written into the run directory: put them into "
                      "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
                      origin_of(config, "tracking.mlflow.uri"));
  }
  if (!is_web_address(mlflow.uri)) {
    fail<ConfigError>("{}tracking.mlflow.uri: \"{}\" is no http:// or https:// address of an MLflow server (none: no tracking)",
                      origin_of(config, "tracking.mlflow.uri"), mlflow.uri);
  }
  if (mlflow.experiment.size() > kMlflowExperimentLength) {
    fail<ConfigError>("{}tracking.mlflow.experiment has {} characters; MLflow takes {}", origin_of(config, "tracking.mlflow.experiment"),
                      mlflow.experiment.size(), kMlflowExperimentLength);
  }
  given_tags(mlflow);
}

MlflowServer mlflow_server(const MlflowSection& section) {
  MlflowServer server;
  server.uri = section.uri;
  server.http.timeout_seconds = section.timeout_seconds;
  server.http.user = environment_variable("MLFLOW_TRACKING_USERNAME").value_or("");
  server.http.password = environment_variable("MLFLOW_TRACKING_PASSWORD").value_or("");
  server.http.token = environment_variable("MLFLOW_TRACKING_TOKEN").value_or("");
  server.http.ca_file = environment_variable("MLFLOW_TRACKING_SERVER_CERT_PATH").value_or("");
  server.http.ca_advice = "MLFLOW_TRACKING_SERVER_CERT_PATH";
  const std::string insecure = environment_variable("MLFLOW_TRACKING_INSECURE_TLS").value_or("");
  server.http.verify_certificate = insecure != "true" && insecure != "1";
  return server;
}

bool tracks_mlflow(const Config& config) { return !config.tracking.mlflow.uri.empty() && config.tracking.mlflow.uri != kNoTracking; }

MlflowBeginning beginning_of(const MlflowSection& section, const fs::path& run_directory, WallTime start) {
  return {section.experiment, section.run_name.empty() ? run_directory.filename().string() : section.run_name, start};
}

void spool_origin(MlflowSpool& spool, const Config& config, const fs::path& run_directory) {
  MlflowPairs params;
  for (auto& value : config_values(config)) {
    // Where it is tracked is no property of what is trained.
    if (!value.first.starts_with("tracking.")) params.push_back(std::move(value));
  }
  spool.params(params);
  MlflowPairs tags{{"mlflow.user", user_name()},
                   {"mlflow.source.type", "LOCAL"},
                   {"mlflow.source.name", "rechost"},
                   {"rechost.version", std::string(version())},
                   {"rechost.host", host_name()},
                   {"rechost.run_dir", fs::absolute(run_directory).lexically_normal().string()}};
  for (auto& tag : given_tags(config.tracking.mlflow)) tags.push_back(std::move(tag));
  spool.tags(tags);
  if (config.tracking.mlflow.artifacts) spool.artifact("config.toml", "config.toml");
}

void spool_results(MlflowSpool& spool, const MlflowSection& section, const fs::path& run_directory, const Json& summary) {
  Json figures = Json::object();
  for (const char* name : {"samples_per_second", "data_wait_share", "peak_memory_bytes"}) {
    if (summary.contains(name)) figures[std::string("run.") + name] = summary[name];
  }
  if (summary.contains("steps")) spool.metrics(summary["steps"].get<std::int64_t>(), std::chrono::system_clock::now(), figures);
  MlflowPairs tags;
  if (summary.contains("error")) tags.emplace_back("rechost.error", summary["error"].get<std::string>());
  if (summary.contains("model") && summary["model"].is_string()) tags.emplace_back("rechost.registered_model", summary["model"].get<std::string>());
  std::string sentinels;
  for (const Json& finding : summary.value("sentinels", Json::array())) {
    sentinels += (sentinels.empty() ? "" : ", ") + finding.value("sentinel", "") + " (" + finding.value("subject", "") + ")";
  }
  if (!sentinels.empty()) tags.emplace_back("rechost.sentinels", sentinels);
  spool.tags(tags);
  if (!section.artifacts) return;
  for (const char* name : {"summary.json", "report.html"}) {
    if (fs::exists(run_directory / name)) spool.artifact(name, name);
  }
  const std::string checkpoint = summary.value("checkpoint", "");
  if (checkpoint.empty()) return;
  const fs::path manifest = fs::path("checkpoints") / fs::path(checkpoint).filename() / CheckpointManifest::kFileName;
  if (fs::exists(run_directory / manifest)) spool.artifact(manifest.string(), fmt::format("checkpoint/{}", CheckpointManifest::kFileName));
}

RunTracker::RunTracker(const Setup& setup, const RunDirectory& directory, std::int64_t first_step)
    : section_(setup.config.tracking.mlflow), directory_(directory.path()) {
  if (!tracks_mlflow(setup.config)) return;
  lock_ = std::make_unique<LockFile>(lock_mlflow_spool(directory_));
  spool_ = std::make_unique<MlflowSpool>(directory_, beginning_of(section_, directory_, std::chrono::system_clock::now()), first_step);
  spool_origin(*spool_, setup.config, directory_);
  spool_->tags({{"rechost.model", fmt::format("{} {}", setup.model_module->id(), setup.model_module->plugin_version())}});
  sender_ = std::make_unique<MlflowSender>(directory_, mlflow_server(section_), *spool_);
}

void RunTracker::data(const RunData& data) {
  if (spool_ == nullptr) return;
  MlflowPairs tags{{"rechost.dataset", fmt::format("{} {}", data.loader->module().id(), data.loader->module().plugin_version())},
                   {"rechost.data_fingerprint", data.fingerprint()}};
  for (const char* split : {"train", "valid", "test"}) {
    const Dataset* rows = data.prepared.split(split);
    if (rows != nullptr) tags.emplace_back(fmt::format("rechost.rows.{}", split), std::to_string(rows->samples()));
  }
  spool_->tags(tags);
}

void RunTracker::metrics(std::int64_t step, const Json& fields) {
  if (spool_ != nullptr) spool_->metrics(step, std::chrono::system_clock::now(), fields);
}

void RunTracker::checkpoint(const fs::path& path) {
  if (spool_ == nullptr) return;
  spool_->tags({{"rechost.checkpoint", fs::absolute(path).lexically_normal().string()}});
  // What the checkpoint stands for must not be missing here after a power cut: a resumed run does not repeat it.
  spool_->sync();
}

void RunTracker::finish(RunStatus status, const Json& summary) {
  if (spool_ == nullptr) return;
  spool_results(*spool_, section_, directory_, summary);
  // Stopped by a signal is KILLED in MLflow's words; resumed, it is RUNNING again.
  spool_->status(status == RunStatus::kFinished ? "FINISHED" : status == RunStatus::kStopped ? "KILLED" : "FAILED", std::chrono::system_clock::now());
  const MlflowSender::Outcome outcome = sender_->finish(section_.flush_seconds);
  if (outcome.unsent == 0) return;
  log_warning("{} records of this run have not reached MLflow{}{}; send them with: rechost runs sync {}", outcome.unsent,
              outcome.trouble.empty() ? "" : ": ", outcome.trouble, directory_.string());
}

}  // namespace rechost::app
