#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/checksum.h"

namespace rechost {

/// The list of files of a checkpoint, as the registry needs it: the manifest's text by its checksum, and what it lists.
struct CheckpointFileList {
  std::string manifest_checksum;
  std::vector<FileRecord> files;  ///< without the manifest
};

/// Throws CheckpointError when `checkpoint` has no manifest, or one that cannot be read.
CheckpointFileList read_checkpoint_file_list(const std::filesystem::path& checkpoint);

/// One line per file that is not as listed; every byte is read.
std::vector<std::string> checkpoint_defects(const std::filesystem::path& checkpoint, const CheckpointFileList& list);

/// Makes the directory `target` with the same files: hard links where the file system allows, else copies. fsynced.
void link_checkpoint(const std::filesystem::path& checkpoint, const CheckpointFileList& list, const std::filesystem::path& target);

}  // namespace rechost
