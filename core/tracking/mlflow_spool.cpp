#include "tracking/mlflow_spool.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <set>
#include <system_error>

#include "base/checksum.h"
#include "base/error.h"
#include "base/log.h"
#include "tracking/mlflow_limits.h"
#include "tracking/run_directory.h"

namespace rechost {
namespace {

std::int64_t milliseconds(WallTime time) {
  return std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

/// Tells this run from all others, so that a run whose creation was not answered can be found.
std::string random_key() {
  std::random_device source;
  std::string key;
  for (int i = 0; i < 4; ++i) key += fmt::format("{:08x}", source());
  return key;
}

/// `count` of the pairs from `begin` on, as an object. Of two equal keys the later one counts.
Json object_of(const MlflowPairs& pairs, std::size_t begin, std::size_t count) {
  Json object = Json::object();
  for (std::size_t i = begin; i < std::min(begin + count, pairs.size()); ++i) object[pairs[i].first] = pairs[i].second;
  return object;
}

}  // namespace

MlflowSpoolFiles::MlflowSpoolFiles(const std::filesystem::path& run_directory)
    : directory(run_directory / "spool"),
      records(directory / "mlflow.log"),
      state(directory / "mlflow.json"),
      lock(directory / "mlflow.lock") {}

MlflowSpool::MlflowSpool(const std::filesystem::path& run_directory, const MlflowBeginning& beginning, std::int64_t first_step)
    : run_directory_(run_directory), files_(run_directory), spool_(files_.records) {
  if (spool_.last() > 0) {
    take_over(first_step, beginning);
    status("RUNNING", std::chrono::system_clock::now());
    return;
  }
  append({{"kind", "start"},
          {"key", random_key()},
          {"experiment", beginning.experiment},
          {"run_name", beginning.run_name},
          {"time", milliseconds(beginning.start)}});
  const std::filesystem::path metrics_file = run_directory / "metrics.jsonl";
  if (first_step <= 0 || !std::filesystem::exists(metrics_file)) return;
  for (const Json& line : read_json_lines(metrics_file)) {
    const std::int64_t step = line.value("step", std::int64_t{0});
    if (step <= first_step) metrics(step, parse_utc(line.value("time", "")), line);
  }
}

MlflowSpool::~MlflowSpool() {
  if (values_changed_ > 0) {
    log_warning("MLflow keeps two values of {} points: the resumed run repeated steps that had been tracked, with other results", values_changed_);
  }
}

void MlflowSpool::take_over(std::int64_t first_step, const MlflowBeginning& beginning) {
  SpoolReader reader(spool_.path());
  while (const auto record = reader.next()) {
    const std::string kind = record->fields.value("kind", "");
    if (kind == "start") {
      const std::string experiment = record->fields.value("experiment", "");
      if (experiment != beginning.experiment) {
        log_warning("tracking.mlflow.experiment is \"{}\" now; the run goes on in \"{}\", where it began", beginning.experiment, experiment);
      }
    } else if (kind == "params") {
      for (const auto& [key, value] : record->fields.at("values").items()) params_[key] = value.get<std::string>();
    } else if (kind == "metrics") {
      const std::int64_t step = record->fields.at("step").get<std::int64_t>();
      if (step <= first_step) continue;
      for (const auto& [key, value] : record->fields.at("values").items()) written_after_[{key, step}].push_back(value.get<double>());
    }
  }
}

void MlflowSpool::append(const Json& record) {
  if (off_) return;
  try {
    spool_.append(record);
  } catch (const std::exception& error) {
    off_ = true;
    log_warning("MLflow is told nothing more of this run: {}", error.what());
  }
}

void MlflowSpool::params(const MlflowPairs& values) {
  MlflowPairs fresh;
  MlflowPairs changed;
  std::set<std::string> keys;
  for (const auto& [name, text] : values) {
    std::string key = mlflow_key(name);
    // Two names may look the same to MLflow.
    if (!keys.insert(key).second) key = mlflow_key(key + "-" + checksum_of(name).substr(5));
    const std::string value = mlflow_value(text, kMlflowParamLength);
    const auto [found, added] = params_.emplace(key, value);
    if (added) {
      fresh.emplace_back(key, value);
    } else if (found->second != value) {
      changed.emplace_back("resumed." + name, text);
    }
  }
  for (std::size_t begin = 0; begin < fresh.size(); begin += kMlflowBatchParams) {
    append({{"kind", "params"}, {"values", object_of(fresh, begin, kMlflowBatchParams)}});
  }
  tags(changed);
}

void MlflowSpool::tags(const MlflowPairs& values) {
  MlflowPairs fitting;
  for (const auto& [key, value] : values) fitting.emplace_back(mlflow_key(key), mlflow_value(value, kMlflowTagLength));
  for (std::size_t begin = 0; begin < fitting.size(); begin += kMlflowBatchTags) {
    append({{"kind", "tags"}, {"values", object_of(fitting, begin, kMlflowBatchTags)}});
  }
}

void MlflowSpool::metrics(std::int64_t step, WallTime time, const Json& fields) {
  Json values = Json::object();
  for (const auto& [name, field] : fields.items()) {
    if (!field.is_number() || name == "step" || name == "epoch") continue;
    const double value = field.get<double>();
    if (!std::isfinite(value)) continue;
    const std::string key = mlflow_metric_key(name);
    if (const auto found = written_after_.find({key, step}); found != written_after_.end() && !found->second.empty()) {
      const auto same = std::find(found->second.begin(), found->second.end(), value);
      if (same != found->second.end()) {
        found->second.erase(same);
        continue;
      }
      found->second.erase(found->second.begin());
      ++values_changed_;
    }
    values[key] = value;
    if (values.size() == kMlflowBatchMetrics) {
      append({{"kind", "metrics"}, {"step", step}, {"time", milliseconds(time)}, {"values", values}});
      values = Json::object();
    }
  }
  if (!values.empty()) append({{"kind", "metrics"}, {"step", step}, {"time", milliseconds(time)}, {"values", values}});
}

void MlflowSpool::artifact(const std::string& file, const std::string& name) {
  append({{"kind", "artifact"}, {"file", file}, {"name", name}});
}

void MlflowSpool::status(std::string_view status, WallTime time) {
  append({{"kind", "status"}, {"status", status}, {"time", milliseconds(time)}});
}

void MlflowSpool::sync() {
  if (off_) return;
  try {
    spool_.sync();
  } catch (const std::exception& error) {
    off_ = true;
    log_warning("MLflow is told nothing more of this run: {}", error.what());
  }
}

LockFile lock_mlflow_spool(const std::filesystem::path& run_directory) {
  const MlflowSpoolFiles files(run_directory);
  std::error_code reason;
  std::filesystem::create_directories(files.directory, reason);
  if (reason) fail("cannot create {}: {}", files.directory.string(), reason.message());
  return LockFile::acquire(files.lock);
}

void end_mlflow_spool(Spool& records, WallTime time) {
  SpoolReader reader(records.path());
  std::string status;
  while (const auto record = reader.next()) {
    if (record->fields.value("kind", "") == "status") status = record->fields.value("status", "");
  }
  if (status.empty() || status == "RUNNING") records.append({{"kind", "status"}, {"status", "KILLED"}, {"time", milliseconds(time)}});
}

}  // namespace rechost
