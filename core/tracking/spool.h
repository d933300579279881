#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "base/file.h"
#include "base/json.h"

namespace rechost {

struct SpoolRecord {
  std::int64_t number = 0;  ///< from 1, without gaps
  Json fields;
};

/// A file of records for somebody who may be away: only appended to, one record a line, `xxh3:<16 hex digits> <number> <JSON>`; the checksum
/// is that of number and JSON. What was appended survives the death of the process, and after sync() that of the machine.
class Spool {
 public:
  /// Opens or creates the file. What a crash left half-written at its end is cut off. Throws Error for a damaged record with good ones
  /// after it: what is lost then is for its owner to judge.
  explicit Spool(std::filesystem::path path);

  /// Returns the number of the record. One thread. Throws Error when the disk refuses.
  std::int64_t append(const Json& fields);

  /// Number of the last record; 0: none yet. Any thread.
  std::int64_t last() const { return last_.load(std::memory_order_acquire); }

  /// Waits until all that was appended before the call is on the disk. Any thread.
  void sync() const { sync_file(file_, path_); }

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  FileDescriptor file_;
  std::atomic<std::int64_t> last_{0};
};

/// Reads records in order, also while they are being appended. One thread.
class SpoolReader {
 public:
  explicit SpoolReader(const std::filesystem::path& path);

  /// The next whole record; nothing when there is none (yet). Throws Error for a damaged one.
  std::optional<SpoolRecord> next();

 private:
  std::filesystem::path path_;
  FileDescriptor file_;
  std::string buffered_;
  std::size_t begin_ = 0;  ///< of what is not yet handed out
  std::int64_t number_ = 0;
};

}  // namespace rechost
