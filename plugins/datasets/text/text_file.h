// A text file, on disk or elsewhere, compressed or not, as bytes that can be read at any offset.
#ifndef RECHOST_TEXT_TEXT_FILE_H
#define RECHOST_TEXT_TEXT_FILE_H

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace text {

// Owns a file descriptor.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int descriptor) : descriptor_(descriptor) {}
  FileDescriptor(FileDescriptor&& other) noexcept : descriptor_(other.descriptor_) { other.descriptor_ = -1; }
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  ~FileDescriptor();
  int get() const { return descriptor_; }

 private:
  int descriptor_ = -1;
};

// Reads size bytes at an offset into `target`. Throws rechost::DataError naming `path` when they are not there any more.
void read_fully(int descriptor, std::int64_t offset, std::size_t size, char* target, const std::string& path);

// gzip and zstd files (told by their first bytes, whatever the name) are decompressed once, at opening, into a temporary file without a
// name: memory stays small, any chunk can be reached, and nothing is left behind whichever way the process ends. The file is read, not
// mapped: a mapped file that another process cuts short kills the reader, a read only comes back short. A remote file is read where the host
// keeps its copy; to let go of it, so that the copy may make room for others, see let_go(). All functions after construction but that: any
// thread.
class TextFile {
 public:
  // Throws rechost::DataError naming the file; for damaged compressed data also the byte.
  explicit TextFile(const std::string& path);

  const std::string& path() const { return path_; }
  // Of the text, after decompression.
  std::int64_t size() const { return size_; }

  // Reads size bytes into `target`. Throws DataError when they are not there any more.
  void read(std::int64_t offset, std::size_t size, char* target) const;

  // From now on a remote file is opened for each read; it is brought again when it is gone. One that was decompressed stays open.
  void let_go();
  // Whether it has been let go of.
  bool absent() const { return file_.get() < 0; }

  // Changes when the file does.
  std::uint64_t fingerprint() const { return fingerprint_; }

 private:
  std::string path_;
  FileDescriptor file_;
  std::int64_t size_ = 0;
  std::uint64_t fingerprint_ = 0;
  bool decompressed_ = false;
};

// What TextFile::fingerprint() would be, without opening the file. Throws DataError when it cannot be looked at.
std::uint64_t file_fingerprint(const std::string& path);

// The files that a location stands for: itself; for a folder, the files in it; for a pattern with * ? or [, the files that match. Sorted by
// name; names that begin with '.' or '_' are left out of a folder. Web servers list nothing, so an http: location stands for itself. Throws
// ConfigError when there is none; `option` names the path's origin.
std::vector<std::string> files_of(const std::string& path, const std::string& option);

// Tells the host of the remote ones of these files, which will be opened next and in this order; nothing is expected any more at the end.
class FilesAhead {
 public:
  explicit FilesAhead(const std::vector<std::string>& paths);
  ~FilesAhead();
  FilesAhead(const FilesAhead&) = delete;  // its address is what the host knows it by
  FilesAhead& operator=(const FilesAhead&) = delete;

  // Replaces the files. Any thread.
  void expect(const std::vector<std::string>& paths) const;

 private:
  mutable std::atomic<bool> told_{false};
};

}  // namespace text

#endif  // RECHOST_TEXT_TEXT_FILE_H
