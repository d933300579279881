#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/checksum.h"

/// The directory `checkpoints/` of a run: step-*/, the link `latest`, and hidden leftovers of attempts that died.
namespace rechost {

struct StoredCheckpoint {
  std::filesystem::path path;
  std::int64_t step = 0;
  std::int64_t sequence = 0;
};

/// Those with a sound manifest, newest (highest sequence) first. A missing directory: none.
std::vector<StoredCheckpoint> list_checkpoints(const std::filesystem::path& checkpoints);

/// The newest one that passes the check; newer ones that do not are named in a warning and left alone. None: empty.
/// The default reads every byte, because going on from a damaged checkpoint is worse than a minute of reading.
std::optional<std::filesystem::path> find_latest_checkpoint(const std::filesystem::path& run_directory,
                                                            CheckDepth depth = CheckDepth::kChecksums);

/// Removes half-written attempts and finishes half-done replacements. Call at the start of a run, when no other process writes to it.
/// Returns how many were removed.
std::int64_t clean_checkpoint_leftovers(const std::filesystem::path& checkpoints);

/// Removes all but the newest `keep` + 1 and those of `keep_steps`. `before_step` as in CheckpointWriterSettings, or empty.
void prune_checkpoints(const std::filesystem::path& checkpoints, std::int64_t keep, std::span<const std::int64_t> keep_steps,
                       const std::function<void(std::string_view)>& before_step);

/// Makes `staged` the checkpoint `name`, replacing one of that name (an abandoned attempt at the same step), and fsyncs. The replaced
/// one steps aside under a hidden name that list_checkpoints() knows, so that at no moment there is less than before.
void publish_checkpoint(const std::filesystem::path& staged, const std::filesystem::path& checkpoints, std::string_view name,
                        const std::function<void(std::string_view)>& before_step);

/// Prefix of the names of staging directories, and of replaced checkpoints on their way out.
inline constexpr std::string_view kStagingPrefix = ".writing-";
inline constexpr std::string_view kReplacedPrefix = ".replaced-";

}  // namespace rechost
