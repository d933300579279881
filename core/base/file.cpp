#include "base/file.h"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/host.h"

namespace rechost {
namespace {

[[noreturn]] void fail_with_reason(std::string_view what, const std::filesystem::path& path) {
  const int reason = errno;
  fail("cannot {} {}: {}", what, path.string(), std::strerror(reason));
}

/// A hidden sibling's name that no other process or thread uses.
std::filesystem::path unique_sibling(const std::filesystem::path& path) {
  static std::atomic<std::uint64_t> counter{0};
  return path.parent_path() / fmt::format(".{}.{}-{}", path.filename().string(), ::getpid(), counter.fetch_add(1));
}

std::filesystem::path directory_of(const std::filesystem::path& path) {
  const std::filesystem::path directory = path.parent_path();
  return directory.empty() ? std::filesystem::path(".") : directory;
}

struct flock whole_file_lock() {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return lock;
}

}  // namespace

FileDescriptor::~FileDescriptor() {
  if (number_ >= 0) ::close(number_);
}

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  std::swap(number_, other.number_);
  return *this;
}

int FileDescriptor::release() noexcept { return std::exchange(number_, -1); }

std::string read_file(const std::filesystem::path& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) fail_with_reason("open", path);
  std::string contents;
  struct stat status {};
  if (::fstat(file.number(), &status) == 0 && status.st_size > 0) contents.reserve(static_cast<std::size_t>(status.st_size) + 1);
  char portion[1 << 16];
  for (;;) {
    const ssize_t count = ::read(file.number(), portion, sizeof portion);
    if (count == 0) return contents;
    if (count < 0) {
      if (errno == EINTR) continue;
      fail_with_reason("read", path);
    }
    contents.append(portion, static_cast<std::size_t>(count));
  }
}

void write_all(const FileDescriptor& file, const void* bytes, std::size_t count, const std::filesystem::path& path) {
  const char* next = static_cast<const char*>(bytes);
  while (count > 0) {
    const ssize_t written = ::write(file.number(), next, count);
    if (written < 0) {
      if (errno == EINTR) continue;
      fail_with_reason("write", path);
    }
    next += written;
    count -= static_cast<std::size_t>(written);
  }
}

void sync_file(const FileDescriptor& file, const std::filesystem::path& path) {
  if (::fsync(file.number()) != 0) fail_with_reason("write to disk", path);
}

void sync_directory(const std::filesystem::path& directory) {
  const FileDescriptor file(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!file) fail_with_reason("open", directory);
  // Some network file systems do not sync directories and say so with EINVAL; there is nothing to wait for then.
  if (::fsync(file.number()) != 0 && errno != EINVAL) fail_with_reason("write to disk", directory);
}

void write_file_atomically(const std::filesystem::path& path, std::string_view contents) {
  const std::filesystem::path sibling = unique_sibling(path);
  try {
    const FileDescriptor file(::open(sibling.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
    if (!file) fail_with_reason("create", sibling);
    write_all(file, contents.data(), contents.size(), path);
    sync_file(file, path);
    if (::rename(sibling.c_str(), path.c_str()) != 0) fail_with_reason("create", path);
  } catch (...) {
    ::unlink(sibling.c_str());
    throw;
  }
  sync_directory(directory_of(path));
}

void switch_symlink(const std::filesystem::path& link, const std::filesystem::path& target) {
  const std::filesystem::path sibling = unique_sibling(link);
  ::unlink(sibling.c_str());
  if (::symlink(target.c_str(), sibling.c_str()) != 0) fail_with_reason("create the link", sibling);
  if (::rename(sibling.c_str(), link.c_str()) != 0) {
    const int reason = errno;
    ::unlink(sibling.c_str());
    errno = reason;
    fail_with_reason("create the link", link);
  }
  sync_directory(directory_of(link));
}

LockFile LockFile::acquire(const std::filesystem::path& path) {
  LockFile lock;
  lock.file_ = FileDescriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  if (!lock.file_) fail_with_reason("open", path);
  struct flock whole = whole_file_lock();
  if (::fcntl(lock.file_.number(), F_OFD_SETLK, &whole) != 0) {
    if (errno != EAGAIN && errno != EACCES) fail_with_reason("lock", path);
    fail("{} is held by a running process ({})", path.string(), read_file(path));
  }
  const std::string holder = fmt::format("{}:{}", host_name(), ::getpid());
  if (::ftruncate(lock.file_.number(), 0) != 0) fail_with_reason("write", path);
  write_all(lock.file_, holder.data(), holder.size(), path);
  return lock;
}

bool LockFile::held(const std::filesystem::path& path) {
  // Asks without taking: looking must never make the owner's own attempt fail.
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) {
    if (errno == ENOENT) return false;
    fail_with_reason("open", path);
  }
  struct flock whole = whole_file_lock();
  if (::fcntl(file.number(), F_OFD_GETLK, &whole) != 0) fail_with_reason("look at the lock of", path);
  return whole.l_type != F_UNLCK;
}

}  // namespace rechost
