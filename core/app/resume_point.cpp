#include "app/resume_point.h"

#include <algorithm>

#include "base/error.h"
#include "base/log.h"
#include "tracking/run_directory.h"
#include "train/checkpoint_store.h"
#include "train/model_checkpoint.h"

namespace rechost::app {

namespace fs = std::filesystem;

ResumePoint explicit_resume(const std::string& text) {
  const fs::path path = fs::weakly_canonical(text);
  if (fs::exists(path / CheckpointManifest::kFileName)) return ResumePoint{path.parent_path().parent_path(), path, false};
  if (!fs::is_directory(path)) {
    fail<ConfigError>("--resume {}: there is no such run or checkpoint; use auto, never, a run directory or a checkpoint directory", text);
  }
  const auto latest = find_latest_checkpoint(path);
  if (!latest) fail<CheckpointError>("--resume {}: the run has no complete checkpoint", text);
  return ResumePoint{path, *latest, true};
}

std::optional<ResumePoint> find_unfinished(const fs::path& root, const Config& config) {
  for (const RunRecord& run : list_runs(root)) {
    if (given_name(run.name) != config.run.name) continue;
    if (run.status == RunStatus::kFinished) return std::nullopt;
    if (run.status == RunStatus::kRunning) fail("run {} is still going on: wait for it, or choose another --out", run.path.string());
    const auto latest = find_latest_checkpoint(run.path);
    if (!latest) continue;
    const CheckpointReader reader(*latest);
    const Json& state = reader.manifest().state;
    if (!state.contains("identity") || state.at("identity") != training_identity(config)) {
      log_warning("{} is unfinished but was trained with another configuration; starting anew", run.path.string());
      return std::nullopt;
    }
    return ResumePoint{run.path, *latest, true};
  }
  return std::nullopt;
}

void require_same_training(const CheckpointReader& checkpoint, const Config& config) {
  const Json& state = checkpoint.manifest().state;
  if (!state.contains("identity")) throw CheckpointError(checkpoint.directory().string() + " was not written by a training run");
  const std::string before = state.at("identity").get<std::string>();
  const std::string now = training_identity(config);
  if (before == now) return;
  // The first line that differs says which key; both texts list the same keys in the same order.
  std::size_t begin = 0;
  while (begin < before.size() && begin < now.size()) {
    const std::size_t end_before = std::min(before.find('\n', begin), before.size());
    const std::size_t end_now = std::min(now.find('\n', begin), now.size());
    const std::string old_line = before.substr(begin, end_before - begin);
    const std::string new_line = now.substr(begin, end_now - begin);
    if (old_line != new_line) {
      fail<ConfigError>("cannot resume {}: the configuration has changed: it was `{}`, now `{}`. Start a new run (--resume never)",
                        checkpoint.directory().string(), old_line, new_line);
    }
    begin = end_before + 1;
  }
  fail<ConfigError>("cannot resume {}: the configuration has changed", checkpoint.directory().string());
}

}  // namespace rechost::app
