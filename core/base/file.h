#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace rechost {

/// Owns a file descriptor, closed with it. All descriptors of rechost are close-on-exec.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int number) : number_(number) {}
  ~FileDescriptor();
  FileDescriptor(FileDescriptor&& other) noexcept : number_(other.number_) { other.number_ = -1; }
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;

  int number() const { return number_; }
  /// The caller closes it now.
  int release() noexcept;
  explicit operator bool() const { return number_ >= 0; }

 private:
  int number_ = -1;
};

/// Every function below throws Error with the path and the system's reason.
std::string read_file(const std::filesystem::path& path);

/// Readers see the old contents or these, never a part; durable when this returns. Writes a hidden sibling, fsyncs it and renames it.
void write_file_atomically(const std::filesystem::path& path, std::string_view contents);

/// Writes all bytes from the descriptor's position on. `path` is for the message.
void write_all(const FileDescriptor& file, const void* bytes, std::size_t count, const std::filesystem::path& path);

/// Waits until the contents are on the disk.
void sync_file(const FileDescriptor& file, const std::filesystem::path& path);
/// Waits until the names in a directory are: without it a new file may be gone after a power cut.
void sync_directory(const std::filesystem::path& directory);

/// Points the symbolic link `link` at `target` (relative to the link) in one step: whoever opens it finds the old target or this one.
void switch_symlink(const std::filesystem::path& link, const std::filesystem::path& target);

/// A lock file that dies with its owner, whatever kills it: tells a live process from a dead one without trusting process numbers.
/// An open-file-description lock (fcntl F_OFD_SETLK), so it works between threads too, and on NFS.
class LockFile {
 public:
  /// Takes the lock or fails at once: Error names the holder ("host:pid", read from the file). Creates the file if need be.
  static LockFile acquire(const std::filesystem::path& path);

  /// Whether a living process holds it. A missing file: no.
  static bool held(const std::filesystem::path& path);

 private:
  LockFile() = default;
  FileDescriptor file_;
};

}  // namespace rechost
