#include "text_file.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <utility>

#include "decompress.h"
#include "rechost/cxx/dataset.hpp"
#include "rechost/cxx/files.hpp"

namespace text {
namespace {

std::string system_message() { return std::strerror(errno); }

std::uint64_t fingerprint_of(const std::string& path, const struct stat& status) {
  return rechost::Fingerprint().add(path).add(status.st_size).add(status.st_mtim.tv_sec).add(status.st_mtim.tv_nsec).value();
}

bool is_data(std::string_view name) { return name[0] != '.' && name[0] != '_'; }

// Of a store that lists what it has. A name that holds a '/' is in a folder of the folder, which is left out as it is of local ones.
std::vector<std::string> remote_files_of(const std::string& path, const std::string& option) {
  using Kind = rechost::FileState::Kind;
  if (!path.starts_with("s3:")) return {path};
  std::vector<std::string> files;
  const Kind kind = rechost::look_at(path).kind;
  if (kind == Kind::kFolder) {
    for (const rechost::FolderFile& file : rechost::list_files(path))
      if (file.name.find('/') == std::string::npos && is_data(file.name)) files.push_back(rechost::child(path, file.name));
    if (files.empty()) throw rechost::ConfigError(option + ": the folder '" + path + "' holds no file");
  } else if (kind == Kind::kNone && path.find_first_of("*?[") != std::string::npos) {
    const std::string folder = rechost::folder_of(path.substr(0, path.find_first_of("*?[")));
    for (const rechost::FolderFile& file : rechost::list_files(folder))
      if (const std::string each = rechost::child(folder, file.name); ::fnmatch(path.c_str(), each.c_str(), FNM_PATHNAME | FNM_PERIOD) == 0) files.push_back(each);
    if (files.empty()) throw rechost::ConfigError(option + ": no file matches '" + path + "'");
  } else {
    files.push_back(path);
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

FileDescriptor::~FileDescriptor() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void read_fully(int descriptor, std::int64_t offset, std::size_t size, char* target, const std::string& path) {
  while (size > 0) {
    const ssize_t got = ::pread(descriptor, target, size, offset);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw rechost::DataError("cannot read '" + path + "' at byte " + std::to_string(offset) + ": " + system_message());
    if (got == 0)
      throw rechost::DataError("'" + path + "' ends at byte " + std::to_string(offset) + ": it became shorter while it was being read");
    target += got;
    offset += got;
    size -= static_cast<std::size_t>(got);
  }
}

TextFile::TextFile(const std::string& path)
    // O_NONBLOCK: a pipe that nobody writes to would hold us here, before we could say that it is none of ours.
    : path_(path), file_(rechost::is_remote(path) ? rechost::open_file(path).release() : ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
  if (file_.get() < 0) throw rechost::DataError("cannot open '" + path + "': " + system_message());
  struct stat status {};
  if (::fstat(file_.get(), &status) != 0) throw rechost::DataError("cannot look at '" + path + "': " + system_message());
  if (!S_ISREG(status.st_mode)) throw rechost::DataError("'" + path + "' is not a regular file");
  fingerprint_ = rechost::is_remote(path) ? file_fingerprint(path) : fingerprint_of(path, status);
  size_ = status.st_size;
  if (size_ == 0) return;
  unsigned char head[4] = {};
  read(0, static_cast<std::size_t>(std::min<std::int64_t>(size_, 4)), reinterpret_cast<char*>(head));
  const Compression compression = compression_of(head);
  if (compression == Compression::kNone) return;
  FileDescriptor plain = temporary_file();
  size_ = decompress(compression, file_.get(), plain.get(), path);
  file_ = std::move(plain);
  decompressed_ = true;
}

void TextFile::read(std::int64_t offset, std::size_t size, char* target) const {
  if (!absent()) return read_fully(file_.get(), offset, size, target, path_);
  const rechost::File file = rechost::open_file(path_, {.size = size_});
  read_fully(file.descriptor(), offset, size, target, path_);
}

void TextFile::let_go() {
  if (rechost::is_remote(path_) && !decompressed_) file_ = FileDescriptor();
}

std::uint64_t file_fingerprint(const std::string& path) {
  if (rechost::is_remote(path)) {
    const rechost::FileState state = rechost::look_at(path);
    if (state.kind != rechost::FileState::Kind::kFile) throw rechost::DataError("'" + path + "': there is no such file");
    return rechost::Fingerprint().add(path).add(state.size).add(static_cast<std::int64_t>(state.version)).value();
  }
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) throw rechost::DataError("cannot look at '" + path + "': " + system_message());
  return fingerprint_of(path, status);
}

std::vector<std::string> files_of(const std::string& path, const std::string& option) {
  if (rechost::is_remote(path)) return remote_files_of(path, option);
  std::vector<std::string> files;
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    for (const auto& entry : std::filesystem::directory_iterator(path)) {
      const std::string name = entry.path().filename();
      if (entry.is_regular_file() && is_data(name)) files.push_back(entry.path());
    }
    if (files.empty()) throw rechost::ConfigError(option + ": the folder '" + path + "' holds no file");
  } else if (!std::filesystem::exists(path, ignored) && path.find_first_of("*?[") != std::string::npos) {
    glob_t matches{};
    if (::glob(path.c_str(), 0, nullptr, &matches) == 0) files.assign(matches.gl_pathv, matches.gl_pathv + matches.gl_pathc);
    ::globfree(&matches);
    if (files.empty()) throw rechost::ConfigError(option + ": no file matches '" + path + "'");
  } else {
    files.push_back(path);
  }
  std::sort(files.begin(), files.end());
  return files;
}

FilesAhead::FilesAhead(const std::vector<std::string>& paths) { expect(paths); }

FilesAhead::~FilesAhead() {
  try {
    expect({});
  } catch (const rechost::Error&) {  // only a hint is lost
  }
}

void FilesAhead::expect(const std::vector<std::string>& paths) const {
  std::vector<rechost::WantedFile> wanted;
  for (const std::string& path : paths)
    if (rechost::is_remote(path)) wanted.push_back({path});
  if (told_.exchange(!wanted.empty()) || !wanted.empty()) rechost::read_ahead(this, wanted);
}

}  // namespace text
