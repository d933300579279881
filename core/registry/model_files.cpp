#include "registry/model_files.h"

#include <algorithm>
#include <system_error>

#include <fcntl.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

namespace rechost {
namespace {

constexpr std::string_view kManifest = "manifest.json";

bool stays_inside(const std::filesystem::path& path) {
  return !path.empty() && path.is_relative() &&
         std::none_of(path.begin(), path.end(), [](const std::filesystem::path& name) { return name == ".."; });
}

void link_or_copy(const std::filesystem::path& from, const std::filesystem::path& to) {
  std::filesystem::create_directories(to.parent_path());
  std::error_code reason;
  std::filesystem::create_hard_link(from, to, reason);
  if (!reason) return;
  // Another file system, one without links, or a file of another user.
  std::filesystem::copy_file(from, to, std::filesystem::copy_options::none);
  const FileDescriptor file(::open(to.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) fail("cannot open {}", to.string());
  sync_file(file, to);
}

}  // namespace

CheckpointFileList read_checkpoint_file_list(const std::filesystem::path& checkpoint) {
  CheckpointFileList list;
  const std::string path = (checkpoint / kManifest).string();
  try {
    const std::string text = read_file(path);
    list.manifest_checksum = checksum_of(text);
    const Json manifest = parse_json(text, path);
    if (manifest.at("format") != "rechost-checkpoint") fail("{} is not the manifest of a checkpoint", path);
    for (const Json& file : manifest.at("files")) {
      list.files.push_back(
          {file.at("path").get<std::string>(), file.at("bytes").get<std::uint64_t>(), file.at("checksum").get<std::string>()});
      if (!stays_inside(list.files.back().path)) fail("{} names the file \"{}\" outside the checkpoint", path, list.files.back().path);
    }
  } catch (const std::exception& error) {
    fail<CheckpointError>("{} is not a complete checkpoint: {}", checkpoint.string(), error.what());
  }
  return list;
}

std::vector<std::string> checkpoint_defects(const std::filesystem::path& checkpoint, const CheckpointFileList& list) {
  std::vector<std::string> defects;
  for (const FileRecord& file : list.files) {
    std::string what;
    try {
      what = file_defect(checkpoint, file, CheckDepth::kChecksums);
    } catch (const Error& error) {
      what = error.what();
    }
    if (!what.empty()) defects.push_back(fmt::format("{} {}", (checkpoint / file.path).string(), what));
  }
  return defects;
}

void link_checkpoint(const std::filesystem::path& checkpoint, const CheckpointFileList& list, const std::filesystem::path& target) {
  try {
    std::filesystem::create_directories(target);
    for (const FileRecord& file : list.files) link_or_copy(checkpoint / file.path, target / file.path);
    link_or_copy(checkpoint / kManifest, target / kManifest);
    for (const auto& entry : std::filesystem::recursive_directory_iterator(target)) {
      if (entry.is_directory()) sync_directory(entry.path());
    }
    sync_directory(target);
  } catch (const std::filesystem::filesystem_error& error) {
    fail<CheckpointError>("cannot keep the checkpoint {} in the registry: {}", checkpoint.string(), error.what());
  }
}

}  // namespace rechost
