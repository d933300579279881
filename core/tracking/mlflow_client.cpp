#include "tracking/mlflow_client.h"

#include <charconv>

#include "tracking/mlflow_limits.h"

namespace rechost {
namespace {

constexpr std::string_view kApi = "/api/2.0/mlflow/";
constexpr std::string_view kArtifactApi = "/api/2.0/mlflow-artifacts/artifacts/";
constexpr std::string_view kArtifactScheme = "mlflow-artifacts:/";
constexpr std::size_t kHistoryPage = 10'000;
constexpr std::size_t kShownOfBody = 300;

/// 64-bit integers come as numbers or, as protocol buffers have it in JSON, as text.
std::int64_t integer(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end()) return 0;
  if (found->is_number()) return found->get<std::int64_t>();
  const std::string text = found->get<std::string>();
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

Json pairs_json(const MlflowPairs& pairs) {
  Json list = Json::array();
  for (const auto& [key, value] : pairs) list.push_back({{"key", key}, {"value", value}});
  return list;
}

MlflowRun run_from(const Json& run) {
  const Json& info = run.at("info");
  return {info.at("run_id").get<std::string>(), info.at("experiment_id").get<std::string>(), info.value("artifact_uri", "")};
}

bool asks_for_patience(long status) {
  return status == 408 || status == 429 || status >= 500;
}

std::string content_type(const std::string& path) {
  for (const auto& [ending, type] : {std::pair{".json", "application/json"}, {".html", "text/html"}, {".toml", "text/plain"}}) {
    if (path.ends_with(ending)) return type;
  }
  return "application/octet-stream";
}

std::string shown(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  return mlflow_value(text, kShownOfBody);
}

}  // namespace

std::string mlflow_advice(const MlflowRefused& refused) {
  if (refused.status == 401 || refused.status == 403) {
    return ". Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, to an account that may write";
  }
  if (refused.error_code.empty()) return ". Is tracking.mlflow.uri the address of an MLflow server?";
  return "";
}

MlflowClient::MlflowClient(std::string uri, HttpSettings settings, const std::atomic<bool>* cancel)
    : uri_(std::move(uri)), http_(std::move(settings), cancel) {
  while (uri_.ends_with('/')) uri_.pop_back();
}

HttpResponse MlflowClient::request(const HttpRequest& request) {
  HttpResponse response;
  try {
    response = http_.send(request);
  } catch (const HttpFailure& failure) {
    throw MlflowUnavailable(failure.what(), failure.may_have_arrived, std::nullopt);
  }
  if (response.status >= 200 && response.status < 300) return response;
  const Json body = Json::parse(response.body, nullptr, false);
  const bool own = body.is_object() && body.contains("error_code");
  std::string what = fmt::format("{} {}: HTTP {}", request.method, request.url, response.status);
  if (own) {
    what += fmt::format(" {}: {}", body.value("error_code", ""), shown(body.value("message", "")));
  } else if (!response.location.empty()) {
    what += " to " + response.location;
  } else if (!response.body.empty()) {
    what += ": " + shown(response.body);
  }
  // 429 and 503 come before anything is done; after another failure the server may have gone on all the same.
  if (asks_for_patience(response.status)) {
    throw MlflowUnavailable(what, response.status != 429 && response.status != 503, response.retry_after_seconds);
  }
  throw MlflowRefused(what, response.status, own ? body.value("error_code", "") : "");
}

Json MlflowClient::answer(const HttpRequest& request) {
  const HttpResponse response = this->request(request);
  Json body = Json::parse(response.body, nullptr, false);
  if (!body.is_object()) {
    throw MlflowRefused(fmt::format("{} {}: the answer is not MLflow's: {}", request.method, request.url, shown(response.body)), response.status, "");
  }
  return body;
}

Json MlflowClient::get(std::string_view call, const MlflowPairs& query) {
  HttpRequest request;
  request.url = fmt::format("{}{}{}", uri_, kApi, call);
  char separator = '?';
  for (const auto& [key, value] : query) {
    request.url += fmt::format("{}{}={}", separator, key, percent_encoded(value));
    separator = '&';
  }
  return answer(request);
}

Json MlflowClient::post(std::string_view call, const Json& body) {
  HttpRequest request;
  request.method = "POST";
  request.url = fmt::format("{}{}{}", uri_, kApi, call);
  request.body = json_line(body);
  request.content_type = "application/json";
  return answer(request);
}

std::string MlflowClient::server_version() {
  HttpRequest request;
  request.url = uri_ + "/version";
  const std::string version = this->request(request).body;
  if (version.empty() || version.find_first_not_of("0123456789.abcdevprost") != std::string::npos) {
    throw MlflowRefused(fmt::format("GET {}: the answer is not MLflow's: {}", request.url, shown(version)), 200, "");
  }
  return version;
}

std::string MlflowClient::experiment(const std::string& name) {
  // Two runs may make it at once: who comes second is told that it is there, and asks again.
  for (bool made_by_another = false;;) {
    try {
      const Json found = get("experiments/get-by-name", {{"experiment_name", name}}).at("experiment");
      if (found.value("lifecycle_stage", "active") != "active") {
        throw MlflowRefused(fmt::format("the experiment \"{}\" was deleted: restore it, or choose another tracking.mlflow.experiment", name), 400, "INVALID_STATE");
      }
      return found.at("experiment_id").get<std::string>();
    } catch (const MlflowRefused& refused) {
      if (refused.error_code != "RESOURCE_DOES_NOT_EXIST" || made_by_another) throw;
    }
    try {
      return post("experiments/create", {{"name", name}}).at("experiment_id").get<std::string>();
    } catch (const MlflowRefused& refused) {
      if (refused.error_code != "RESOURCE_ALREADY_EXISTS") throw;
      made_by_another = true;
    }
  }
}

std::optional<MlflowRun> MlflowClient::find_run(const std::string& experiment_id, const std::string& tag, const std::string& value) {
  const Json found = post("runs/search", {{"experiment_ids", Json::array({experiment_id})}, {"filter", fmt::format("tags.`{}` = '{}'", tag, value)}, {"max_results", 1}});
  const auto runs = found.find("runs");
  if (runs == found.end() || runs->empty()) return std::nullopt;
  return run_from(runs->front());
}

MlflowRun MlflowClient::create_run(const std::string& experiment_id, const std::string& run_name, std::int64_t start_ms, const MlflowPairs& tags) {
  return run_from(post("runs/create", {{"experiment_id", experiment_id}, {"run_name", run_name}, {"start_time", start_ms}, {"tags", pairs_json(tags)}}).at("run"));
}

void MlflowClient::log_batch(const std::string& run_id, const MlflowBatch& batch) {
  Json body{{"run_id", run_id}};
  if (!batch.metrics.empty()) {
    Json& metrics = body["metrics"] = Json::array();
    for (const MlflowMetric& metric : batch.metrics) {
      metrics.push_back({{"key", metric.key}, {"value", metric.value}, {"timestamp", metric.timestamp_ms}, {"step", metric.step}});
    }
  }
  if (!batch.params.empty()) body["params"] = pairs_json(batch.params);
  if (!batch.tags.empty()) body["tags"] = pairs_json(batch.tags);
  post("runs/log-batch", body);
}

std::vector<MlflowMetric> MlflowClient::metric_history(const std::string& run_id, const std::string& key) {
  std::vector<MlflowMetric> history;
  for (std::string page;;) {
    MlflowPairs query{{"run_id", run_id}, {"metric_key", key}, {"max_results", std::to_string(kHistoryPage)}};
    if (!page.empty()) query.emplace_back("page_token", page);
    const Json found = get("metrics/get-history", query);
    for (const Json& metric : found.value("metrics", Json::array())) {
      // Ours are finite; what is not was logged by somebody else.
      if (!metric.contains("value") || !metric["value"].is_number()) continue;
      history.push_back({key, metric["value"].get<double>(), integer(metric, "timestamp"), integer(metric, "step")});
    }
    page = found.value("next_page_token", "");
    if (page.empty()) return history;
  }
}

void MlflowClient::update_run(const std::string& run_id, std::string_view status, std::optional<std::int64_t> end_ms) {
  Json body{{"run_id", run_id}, {"status", status}};
  if (end_ms) body["end_time"] = *end_ms;
  post("runs/update", body);
}

bool MlflowClient::takes_artifacts(std::string_view artifact_uri) {
  if (!artifact_uri.starts_with(kArtifactScheme)) return false;
  // "mlflow-artifacts://host/..." names another server than ours, to which our credentials do not go.
  const std::string_view rest = artifact_uri.substr(kArtifactScheme.size());
  return !rest.starts_with('/') || rest.starts_with("//");
}

void MlflowClient::put_artifact(const std::string& artifact_uri, const std::string& path, const std::filesystem::path& file) {
  std::string root = artifact_uri.substr(kArtifactScheme.size());
  while (root.starts_with('/')) root.erase(0, 1);
  HttpRequest request;
  request.method = "PUT";
  request.url = fmt::format("{}{}{}/{}", uri_, kArtifactApi, percent_encoded(root, true), percent_encoded(path, true));
  request.content_type = content_type(path);
  request.file = file;
  this->request(request);
}

}  // namespace rechost
