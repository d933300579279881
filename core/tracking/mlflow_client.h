#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "storage/http_client.h"

namespace rechost {

/// The server has understood and says no: asking again in the same way is of no use. The message has the server's reason.
class MlflowRefused : public Error {
 public:
  MlflowRefused(const std::string& what, long http_status, std::string code) : Error(what), status(http_status), error_code(std::move(code)) {}
  long status;
  std::string error_code;  ///< "RESOURCE_DOES_NOT_EXIST"; empty when the answer was not MLflow's
};

/// What to do about it, as the end of a message; empty when the server's reason says all.
std::string mlflow_advice(const MlflowRefused& refused);

/// No answer, or one that asks for patience.
class MlflowUnavailable : public Error {
 public:
  MlflowUnavailable(const std::string& what, bool done, std::optional<double> wait_seconds)
      : Error(what), may_be_done(done), retry_after_seconds(wait_seconds) {}
  bool may_be_done;  ///< whether the server did what was asked is not known
  std::optional<double> retry_after_seconds;
};

struct MlflowMetric {
  std::string key;
  double value = 0.0;  ///< finite
  std::int64_t timestamp_ms = 0;
  std::int64_t step = 0;

  auto operator<=>(const MlflowMetric&) const = default;
};

using MlflowPairs = std::vector<std::pair<std::string, std::string>>;

/// What one request may carry; the limits are the caller's concern (mlflow_limits.h).
struct MlflowBatch {
  std::vector<MlflowMetric> metrics;
  MlflowPairs params;
  MlflowPairs tags;

  bool empty() const { return metrics.empty() && params.empty() && tags.empty(); }
};

struct MlflowRun {
  std::string run_id;
  std::string experiment_id;
  std::string artifact_uri;
};

/// The calls of MLflow's REST interface 2.0 that tracking needs. One thread; each call waits. All throw MlflowRefused and MlflowUnavailable.
class MlflowClient {
 public:
  /// `uri`: "http(s)://host[:port][/path]". `cancel` as in HttpClient.
  MlflowClient(std::string uri, HttpSettings settings, const std::atomic<bool>* cancel);

  const std::string& uri() const { return uri_; }

  /// "3.17.2". Needs no account.
  std::string server_version();

  /// The experiment of that name, made if need be.
  std::string experiment(const std::string& name);

  /// The run with that tag, if there is one that was not deleted.
  std::optional<MlflowRun> find_run(const std::string& experiment_id, const std::string& tag, const std::string& value);
  MlflowRun create_run(const std::string& experiment_id, const std::string& run_name, std::int64_t start_ms, const MlflowPairs& tags);

  void log_batch(const std::string& run_id, const MlflowBatch& batch);
  std::vector<MlflowMetric> metric_history(const std::string& run_id, const std::string& key);

  /// `status`: RUNNING, FINISHED, FAILED, KILLED.
  void update_run(const std::string& run_id, std::string_view status, std::optional<std::int64_t> end_ms);

  /// Whether the server itself takes artifacts of that address; others go to a store that only the client of that store can reach.
  static bool takes_artifacts(std::string_view artifact_uri);
  void put_artifact(const std::string& artifact_uri, const std::string& path, const std::filesystem::path& file);

 private:
  Json get(std::string_view call, const MlflowPairs& query);
  Json post(std::string_view call, const Json& body);
  HttpResponse request(const HttpRequest& request);
  Json answer(const HttpRequest& request);

  std::string uri_;
  HttpClient http_;
};

}  // namespace rechost
