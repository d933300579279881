#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace rechost {

/// XXH3 with 64 bits: finds accidents (bad disks, cut copies), does not stop an attacker. Bytes may come in any portions.
class Checksum {
 public:
  Checksum();
  ~Checksum();
  Checksum(Checksum&&) noexcept;
  Checksum& operator=(Checksum&&) noexcept;

  void add(const void* bytes, std::size_t count);

  /// "xxh3:" and 16 hex digits, as `xxhsum -H3` prints them. Further bytes may follow.
  std::string text() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string checksum_of(std::string_view bytes);

/// A file as a list of files names it.
struct FileRecord {
  std::string path;  ///< relative to the directory of the list, with '/'
  std::uint64_t bytes = 0;
  std::string checksum;
};

/// Reads the whole file. `record.path` is `path` relative to `directory`. Throws Error.
FileRecord record_file(const std::filesystem::path& directory, const std::filesystem::path& path);

enum class CheckDepth {
  kSizes,      ///< every file is there with its size: microseconds a file
  kChecksums,  ///< and every byte is as written: the speed of the disk
};

/// What is wrong with the file that `record` describes: "is missing", "has 12 bytes, not 20 (cut short?)", "has changed (checksum ...)".
/// Empty when all is well.
std::string file_defect(const std::filesystem::path& directory, const FileRecord& record, CheckDepth depth);

}  // namespace rechost
