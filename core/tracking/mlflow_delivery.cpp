#include "tracking/mlflow_delivery.h"

#include <optional>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "tracking/mlflow_limits.h"

namespace rechost {
namespace {

constexpr const char* kKeyTag = "rechost.run_key";

/// More than JSON adds to a metric of a batch: names of fields, timestamp, step, digits of the value.
constexpr std::size_t kMetricBytes = 120;
constexpr std::size_t kPairBytes = 24;

/// What a text takes in JSON at most: every byte could be escaped, as \u00XX if it is a control character.
std::size_t json_bytes(const std::string& text) { return json_line(text).size(); }

/// One request in the making: records are put in until one does not fit.
struct Filling {
  MlflowBatch batch;
  std::size_t bytes = 100;

  bool add(const Json& fields) {
    const std::string& kind = fields.at("kind").get_ref<const std::string&>();
    const Json& values = fields.at("values");
    std::size_t more = 0;
    for (const auto& [key, value] : values.items()) {
      more += json_bytes(key) + (kind == "metrics" ? kMetricBytes : kPairBytes + json_bytes(value.get_ref<const std::string&>()));
    }
    const std::size_t items = batch.metrics.size() + batch.params.size() + batch.tags.size();
    const std::size_t same = kind == "metrics" ? batch.metrics.size() : kind == "params" ? batch.params.size() : batch.tags.size();
    const std::size_t limit = kind == "metrics" ? kMlflowBatchMetrics : kind == "params" ? kMlflowBatchParams : kMlflowBatchTags;
    const bool fits = items + values.size() <= kMlflowBatchItems && same + values.size() <= limit && bytes + more <= kMlflowBatchBytes;
    // A first record goes alone even when it is large: it was made no larger than one request may be.
    if (!fits && items > 0) return false;
    bytes += more;
    for (const auto& [key, value] : values.items()) {
      if (kind == "metrics") {
        batch.metrics.push_back({key, value.get<double>(), fields.at("time").get<std::int64_t>(), fields.at("step").get<std::int64_t>()});
      } else {
        (kind == "params" ? batch.params : batch.tags).emplace_back(key, value.get<std::string>());
      }
    }
    return true;
  }
};

bool is_batched(const Json& fields) {
  const std::string kind = fields.value("kind", "");
  return kind == "metrics" || kind == "params" || kind == "tags";
}

}  // namespace

MlflowState MlflowState::load(const std::filesystem::path& path) {
  MlflowState state;
  if (!std::filesystem::exists(path)) return state;
  const Json json = parse_json(read_file(path), path.string());
  state.uri = json.value("uri", "");
  state.run = {json.value("run_id", ""), json.value("experiment_id", ""), json.value("artifact_uri", "")};
  state.delivered = json.value("delivered", std::int64_t{0});
  return state;
}

void MlflowState::save(const std::filesystem::path& path) const {
  write_file_atomically(path, json_document({{"uri", uri},
                                             {"experiment_id", run.experiment_id},
                                             {"run_id", run.run_id},
                                             {"artifact_uri", run.artifact_uri},
                                             {"delivered", delivered}}));
}

MlflowDelivery::MlflowDelivery(MlflowSpoolFiles files, std::filesystem::path run_directory, const Spool& spool, MlflowClient& client)
    : files_(std::move(files)),
      run_directory_(std::move(run_directory)),
      spool_(spool),
      client_(client),
      reader_(files_.records),
      state_(MlflowState::load(files_.state)),
      in_doubt_(spool.last()) {
  if (state_.delivered > spool_.last()) {
    fail("{} says that {} records are on the server, but {} has {}: one of the two is not of this run", files_.state.string(), state_.delivered,
         files_.records.string(), spool_.last());
  }
  for (std::int64_t skipped = 0; skipped < state_.delivered; ++skipped) reader_.next();
}

std::string MlflowDelivery::page() const {
  return fmt::format("{}/#/experiments/{}/runs/{}", state_.uri, state_.run.experiment_id, state_.run.run_id);
}

/// Record `index` of those that are not delivered; null when there are not so many.
const SpoolRecord* MlflowDelivery::pending(std::size_t index) {
  while (pending_.size() <= index) {
    auto record = reader_.next();
    if (!record) return nullptr;
    pending_.push_back(std::move(*record));
  }
  return &pending_[index];
}

bool MlflowDelivery::step() {
  if (undelivered() == 0) return false;
  const SpoolRecord* first = pending(0);
  if (first == nullptr) fail("{} has fewer records than were written", files_.records.string());
  try {
    std::size_t records = 1;
    if (state_.run.run_id.empty()) {
      begin_run(first->fields);
    } else if (is_batched(first->fields)) {
      records = send_batch();
    } else if (first->fields.value("kind", "") == "artifact") {
      send_artifact(first->fields);
    } else {
      send_status(first->fields);
    }
    delivered(records);
  } catch (const MlflowUnavailable& failure) {
    if (failure.may_be_done) {
      in_doubt_ = spool_.last();
      known_.clear();
    }
    throw;
  } catch (const MlflowRefused& refused) {
    if (refused.error_code != "RESOURCE_DOES_NOT_EXIST" || state_.run.run_id.empty()) throw;
    throw MlflowRefused(fmt::format("{}. The run was created at {}: set tracking.mlflow.uri to where it is now, or remove {} to send it anew, as another run",
                                    refused.what(), state_.uri, files_.state.string()),
                        refused.status, refused.error_code);
  }
  return true;
}

void MlflowDelivery::begin_run(const Json& start) {
  if (start.value("kind", "") != "start") fail("{} does not begin with the start of a run", files_.records.string());
  // From here on the server knows the key of this run: the spool must not lose it in a power cut.
  spool_.sync();
  const std::string key = start.at("key").get<std::string>();
  const std::string experiment_id = client_.experiment(start.at("experiment").get<std::string>());
  if (const auto found = client_.find_run(experiment_id, kKeyTag, key)) {
    state_.run = *found;
    in_doubt_ = spool_.last();
  } else {
    state_.run = client_.create_run(experiment_id, start.at("run_name").get<std::string>(), start.at("time").get<std::int64_t>(), {{kKeyTag, key}});
    in_doubt_ = 0;  // it is new: whatever we have not sent, it does not have
  }
  state_.uri = client_.uri();
}

std::size_t MlflowDelivery::send_batch() {
  Filling filling;
  std::size_t records = 0;
  for (const SpoolRecord* record = pending(0); record != nullptr && is_batched(record->fields) && filling.add(record->fields); record = pending(records)) {
    ++records;
  }
  if (pending_.front().number <= in_doubt_) std::erase_if(filling.batch.metrics, [this](const MlflowMetric& metric) { return has(metric); });
  // What the server is told must not be lost here in a power cut: a resumed run would tell it again, under another time.
  spool_.sync();
  if (!filling.batch.empty()) client_.log_batch(state_.run.run_id, filling.batch);
  return records;
}

bool MlflowDelivery::has(const MlflowMetric& metric) {
  auto known = known_.find(metric.key);
  if (known == known_.end()) {
    const std::vector<MlflowMetric> history = client_.metric_history(state_.run.run_id, metric.key);
    known = known_.emplace(metric.key, std::set<MlflowMetric>(history.begin(), history.end())).first;
  }
  return known->second.contains(metric);
}

void MlflowDelivery::send_artifact(const Json& fields) {
  const std::filesystem::path file = run_directory_ / fields.at("file").get<std::string>();
  const std::string name = fields.at("name").get<std::string>();
  if (artifacts_refused_) return;
  if (!MlflowClient::takes_artifacts(state_.run.artifact_uri)) {
    artifacts_refused_ = true;
    log_warning("MLflow keeps the artifacts of this run in {}, which only its Python client writes: they stay in {} (a server started with "
                "--artifacts-destination takes them)",
                state_.run.artifact_uri, run_directory_.string());
    return;
  }
  if (!std::filesystem::is_regular_file(file)) {
    log_warning("{} is gone before it was sent to MLflow", file.string());
    return;
  }
  try {
    client_.put_artifact(state_.run.artifact_uri, name, file);
  } catch (const MlflowRefused& refused) {
    if (refused.status == 401 || refused.status == 403) throw;
    artifacts_refused_ = true;
    log_warning("MLflow does not take artifacts: {}. They stay in {}; all else is sent", refused.what(), run_directory_.string());
  }
}

void MlflowDelivery::send_status(const Json& fields) {
  const std::string status = fields.at("status").get<std::string>();
  std::optional<std::int64_t> end_ms;
  if (status != "RUNNING") end_ms = fields.at("time").get<std::int64_t>();
  client_.update_run(state_.run.run_id, status, end_ms);
}

void MlflowDelivery::delivered(std::size_t records) {
  state_.delivered = pending_[records - 1].number;
  state_.save(files_.state);
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(records));
  if (state_.delivered >= in_doubt_) known_.clear();
}

}  // namespace rechost
