#include "base/temporary_file.h"

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include <fcntl.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/error.h"

namespace rechost {
namespace {

FileDescriptor open_without_name(const std::filesystem::path& directory) {
  FileDescriptor file(::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  // Some file systems (NFS, overlays) have no files without names: take the name away at once.
  if (!file && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
    std::string name = (directory / ".rechost-XXXXXX").string();
    file = FileDescriptor(::mkostemp(name.data(), O_CLOEXEC));
    if (file) ::unlink(name.c_str());
  }
  if (!file) fail("cannot make a temporary file in {}: {}", directory.string(), std::strerror(errno));
  return file;
}

}  // namespace

TemporaryFile::TemporaryFile(std::filesystem::path directory) : directory_(std::move(directory)), file_(open_without_name(directory_)) {}

void TemporaryFile::append(const void* bytes, std::size_t count) {
  write_all(file_, bytes, count, directory_ / "(temporary file)");
  size_ += count;
}

void TemporaryFile::read(std::uint64_t first, void* bytes, std::size_t count) const {
  auto* to = static_cast<char*>(bytes);
  while (count > 0) {
    const ssize_t got = ::pread(file_.number(), to, count, static_cast<off_t>(first));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      fail("cannot read a temporary file in {}: {}", directory_.string(), got < 0 ? std::strerror(errno) : "it is shorter than what was written");
    }
    to += got;
    first += static_cast<std::uint64_t>(got);
    count -= static_cast<std::size_t>(got);
  }
}

void TemporaryFile::write(std::uint64_t first, const void* bytes, std::size_t count) {
  const auto* from = static_cast<const char*>(bytes);
  while (count > 0) {
    const ssize_t put = ::pwrite(file_.number(), from, count, static_cast<off_t>(first));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) fail("cannot write a temporary file in {}: {}", directory_.string(), std::strerror(errno));
    from += put;
    first += static_cast<std::uint64_t>(put);
    count -= static_cast<std::size_t>(put);
  }
}

void TemporaryFile::reserve(std::uint64_t bytes) {
  if (bytes <= size_) return;
  int reason = 0;
  do {
    reason = ::posix_fallocate(file_.number(), 0, static_cast<off_t>(bytes));
  } while (reason == EINTR);
  if (reason != 0) {
    if (::ftruncate(file_.number(), static_cast<off_t>(size_)) != 0) reason = errno;
    struct statvfs disk {};
    const bool known = ::statvfs(directory_.c_str(), &disk) == 0;
    fail("a file of {} bytes in {} is refused: {}{}", bytes, directory_.string(), std::strerror(reason),
         known ? fmt::format(" ({} bytes are free)", static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize) : "");
  }
  size_ = bytes;
}

}  // namespace rechost
