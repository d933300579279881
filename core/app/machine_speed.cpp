#include "app/machine_speed.h"

#include <fmt/format.h>

#include "app/environment.h"
#include "base/error.h"
#include "base/file.h"
#include "base/host.h"
#include "base/log.h"
#include "base/version.h"

namespace rechost::app {

namespace fs = std::filesystem;

namespace {

fs::path speed_file() {
  const auto cache = environment_variable("XDG_CACHE_HOME");
  if (cache && !cache->empty()) return fs::path(*cache) / "rechost/machine-speed.json";
  const auto home = environment_variable("HOME");
  return home && !home->empty() ? fs::path(*home) / ".cache/rechost/machine-speed.json" : fs::path();
}

/// What the figures hold for. A rebuilt program may have other loops.
Json identity() {
  const fs::path program = "/proc/self/exe";
  Json json = Json::object();
  json["processor"] = processor_name();
  json["cores"] = usable_cores();
  json["version"] = version();
  json["program_bytes"] = fs::file_size(program);
  json["program_time"] = fs::last_write_time(fs::canonical(program)).time_since_epoch().count();
  return json;
}

}  // namespace

MachineSpeed::MachineSpeed(ThreadPool& pool) : pool_(pool), file_(speed_file()) {
  const Json here = identity();
  if (!file_.empty() && fs::exists(file_)) {
    try {
      known_ = parse_json(read_file(file_), file_.string());
      if (known_.at("machine") != here) known_ = Json();
    } catch (const std::exception& error) {
      log_debug("{} is not used: {}", file_.string(), error.what());
      known_ = Json();
    }
  }
  if (!known_.is_object()) known_ = {{"machine", here}, {"rows", Json::object()}};
}

const RowSpeed& MachineSpeed::of_rows(const RowKind& kind) {
  const std::string key = fmt::format("dim {}, {}, {}, {} threads", kind.dim, row_precision_name(kind.precision), optimizer_name(kind.optimizer), pool_.size());
  const auto found = speeds_.find(key);
  if (found != speeds_.end()) return found->second;
  if (known_["rows"].contains(key)) {
    try {
      return speeds_.emplace(key, RowSpeed::from_json(known_["rows"][key])).first->second;
    } catch (const std::exception& error) {
      log_debug("{}: {} is measured again: {}", file_.string(), key, error.what());
    }
  }
  log_info("measuring once how fast this machine reads and updates rows of {}", key);
  const RowSpeed& speed = speeds_.emplace(key, measure_row_speed(kind, pool_)).first->second;
  known_["rows"][key] = speed.to_json();
  save();
  return speed;
}

/// Measuring again next time is no reason to fail.
void MachineSpeed::save() const {
  if (file_.empty()) return;
  try {
    fs::create_directories(file_.parent_path());
    write_file_atomically(file_, known_.dump(1) + "\n");
  } catch (const std::exception& error) {
    log_debug("cannot keep the speed of this machine: {}", error.what());
  }
}

}  // namespace rechost::app
