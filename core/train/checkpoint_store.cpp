#include "train/checkpoint_store.h"

#include <algorithm>
#include <string>
#include <system_error>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "train/checkpoint_manifest.h"
#include "train/checkpoint_reader.h"

namespace rechost {
namespace {

constexpr std::string_view kCheckpointPrefix = "step-";

std::vector<std::filesystem::path> entries(const std::filesystem::path& directory) {
  std::vector<std::filesystem::path> paths;
  std::error_code reason;
  for (std::filesystem::directory_iterator entry(directory, reason), end; !reason && entry != end; entry.increment(reason)) {
    paths.push_back(entry->path());
  }
  if (reason && reason != std::errc::no_such_file_or_directory)
    fail<CheckpointError>("cannot list {}: {}", directory.string(), reason.message());
  std::sort(paths.begin(), paths.end());
  return paths;
}

/// A checkpoint that was replaced counts until it is removed: if the process dies between, it is all there is.
bool may_be_checkpoint(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  return name.starts_with(kCheckpointPrefix) || name.starts_with(kReplacedPrefix);
}

void before(const std::function<void(std::string_view)>& before_step, std::string_view step) {
  if (before_step) before_step(step);
}

/// Out of sight first: a checkpoint that is half removed must not look like a damaged one.
void remove_checkpoint(const std::filesystem::path& path) {
  const std::filesystem::path hidden = path.parent_path() / fmt::format("{}removing-{}", kStagingPrefix, path.filename().string());
  std::filesystem::remove_all(hidden);
  std::filesystem::rename(path, hidden);
  std::filesystem::remove_all(hidden);
}

std::vector<StoredCheckpoint> scan(const std::filesystem::path& checkpoints, const std::function<void(const std::string&)>& on_defect) {
  std::vector<StoredCheckpoint> found;
  for (const std::filesystem::path& path : entries(checkpoints)) {
    if (!may_be_checkpoint(path)) continue;
    const std::filesystem::path file = path / CheckpointManifest::kFileName;
    try {
      const CheckpointManifest manifest = CheckpointManifest::from_text(read_file(file), file.string());
      found.push_back({path, manifest.position.step, manifest.sequence});
    } catch (const Error& error) {
      on_defect(error.what());
    }
  }
  std::sort(found.begin(), found.end(), [](const StoredCheckpoint& a, const StoredCheckpoint& b) { return a.sequence > b.sequence; });
  return found;
}

}  // namespace

std::vector<StoredCheckpoint> list_checkpoints(const std::filesystem::path& checkpoints) {
  return scan(checkpoints, [](const std::string&) {});
}

std::optional<std::filesystem::path> find_latest_checkpoint(const std::filesystem::path& run_directory, CheckDepth depth) {
  const auto warn = [](const std::string& defect) { log_warning("skipping a checkpoint: {}", defect); };
  for (const StoredCheckpoint& checkpoint : scan(run_directory / "checkpoints", warn)) {
    try {
      const CheckpointReader reader(checkpoint.path);
      if (depth == CheckDepth::kChecksums) reader.verify();
      return checkpoint.path;
    } catch (const Error& error) {
      warn(error.what());
    }
  }
  return std::nullopt;
}

std::int64_t clean_checkpoint_leftovers(const std::filesystem::path& checkpoints) {
  std::int64_t removed = 0;
  for (const std::filesystem::path& path : entries(checkpoints)) {
    const std::string name = path.filename().string();
    if (name.starts_with(kReplacedPrefix)) {
      const std::filesystem::path original = checkpoints / name.substr(kReplacedPrefix.size());
      if (!std::filesystem::exists(original)) {
        std::filesystem::rename(path, original);
        continue;
      }
    } else if (!name.starts_with(kStagingPrefix) && !name.starts_with(".latest.")) {
      continue;
    }
    std::filesystem::remove_all(path);
    ++removed;
  }
  const std::vector<StoredCheckpoint> found = list_checkpoints(checkpoints);
  // The process may have died between the rename and the link.
  if (!found.empty()) {
    std::error_code ignored;
    const std::filesystem::path newest = found.front().path.filename();
    if (std::filesystem::read_symlink(checkpoints / "latest", ignored) != newest) switch_symlink(checkpoints / "latest", newest);
  }
  return removed;
}

void prune_checkpoints(const std::filesystem::path& checkpoints, std::int64_t keep, std::span<const std::int64_t> keep_steps,
                       const std::function<void(std::string_view)>& before_step) {
  const std::vector<StoredCheckpoint> found = list_checkpoints(checkpoints);
  for (std::size_t i = static_cast<std::size_t>(std::max<std::int64_t>(keep, 0)) + 1; i < found.size(); ++i) {
    if (std::find(keep_steps.begin(), keep_steps.end(), found[i].step) != keep_steps.end()) continue;
    before(before_step, fmt::format("remove {}", found[i].path.filename().string()));
    remove_checkpoint(found[i].path);
  }
}

void publish_checkpoint(const std::filesystem::path& staged, const std::filesystem::path& checkpoints, std::string_view name,
                        const std::function<void(std::string_view)>& before_step) {
  const std::filesystem::path target = checkpoints / name;
  const std::filesystem::path aside = checkpoints / fmt::format("{}{}", kReplacedPrefix, name);
  if (std::filesystem::exists(target)) {
    if (std::filesystem::exists(aside)) std::filesystem::remove_all(aside);
    before(before_step, "move the checkpoint of the same step aside");
    std::filesystem::rename(target, aside);
  }
  before(before_step, "rename the staging directory");
  std::filesystem::rename(staged, target);
  sync_directory(checkpoints);
  if (std::filesystem::exists(aside)) {
    before(before_step, "remove the replaced checkpoint");
    remove_checkpoint(aside);
  }
}

}  // namespace rechost
