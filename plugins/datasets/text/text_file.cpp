#include "text_file.h"

#include <fcntl.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "decompress.h"
#include "rechost/cxx/dataset.hpp"

namespace text {
namespace {

std::string system_message() { return std::strerror(errno); }

std::uint64_t fingerprint_of(const std::string& path, const struct stat& status) {
  return rechost::Fingerprint().add(path).add(status.st_size).add(status.st_mtim.tv_sec).add(status.st_mtim.tv_nsec).value();
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

TextFile::TextFile(const std::string& path) : path_(path), file_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
  // O_NONBLOCK: a pipe that nobody writes to would hold us here, before we could say that it is none of ours.
  if (file_.get() < 0) throw rechost::DataError("cannot open '" + path + "': " + system_message());
  struct stat status {};
  if (::fstat(file_.get(), &status) != 0) throw rechost::DataError("cannot look at '" + path + "': " + system_message());
  if (!S_ISREG(status.st_mode)) throw rechost::DataError("'" + path + "' is not a regular file");
  fingerprint_ = fingerprint_of(path, status);
  size_ = status.st_size;
  if (size_ == 0) return;
  unsigned char head[4] = {};
  read(0, static_cast<std::size_t>(std::min<std::int64_t>(size_, 4)), reinterpret_cast<char*>(head));
  const Compression compression = compression_of(head);
  if (compression == Compression::kNone) return;
  FileDescriptor plain = temporary_file();
  size_ = decompress(compression, file_.get(), plain.get(), path);
  file_ = std::move(plain);
}

void TextFile::read(std::int64_t offset, std::size_t size, char* target) const { read_fully(file_.get(), offset, size, target, path_); }

std::uint64_t file_fingerprint(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) throw rechost::DataError("cannot look at '" + path + "': " + system_message());
  return fingerprint_of(path, status);
}

std::vector<std::string> files_of(const std::string& path, const std::string& option) {
  std::vector<std::string> files;
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    for (const auto& entry : std::filesystem::directory_iterator(path)) {
      const std::string name = entry.path().filename();
      if (entry.is_regular_file() && name[0] != '.' && name[0] != '_') files.push_back(entry.path());
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

}  // namespace text
