#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "config/sections.h"
#include "train/checkpoint_reader.h"

namespace rechost::app {

/// Where a run goes on.
struct ResumePoint {
  std::filesystem::path run_directory;
  std::filesystem::path checkpoint;
  bool verified = false;  ///< every byte has been read already
};

/// What --resume PATH names: a run directory or a checkpoint. ConfigError or CheckpointError when it is neither or holds no checkpoint.
ResumePoint explicit_resume(const std::string& text);

/// The newest run of this name under `root` that did not finish, has a checkpoint and was made by the same training.
std::optional<ResumePoint> find_unfinished(const std::filesystem::path& root, const Config& config);

/// ConfigError, with the first key that differs, unless `config` is the training that wrote the checkpoint.
void require_same_training(const CheckpointReader& checkpoint, const Config& config);

}  // namespace rechost::app
