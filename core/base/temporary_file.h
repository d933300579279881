#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>

#include "base/file.h"

namespace rechost {

/// A file without a name: its room on the disk is free again when it is closed, whatever ends the process.
class TemporaryFile {
 public:
  /// In `directory`, which exists. Error with its path and the system's reason.
  explicit TemporaryFile(std::filesystem::path directory);

  /// Behind what was written so far.
  void append(const void* bytes, std::size_t count);
  std::uint64_t size() const { return size_; }
  /// Bytes [first, first + count), all of which have been written. Several threads at once.
  void read(std::uint64_t first, void* bytes, std::size_t count) const;

  /// Bytes [first, first + count), all of which have been written or reserved. Several threads at once.
  void write(std::uint64_t first, const void* bytes, std::size_t count);

  /// The file becomes `bytes` long, zeros that it did not have, all of which have their room on the disk. Error, and the file as it was, when there is not as
  /// much.
  void reserve(std::uint64_t bytes);
  int number() const { return file_.number(); }  ///< for advice to the system

 private:
  std::filesystem::path directory_;
  FileDescriptor file_;
  std::uint64_t size_ = 0;
};

}  // namespace rechost
