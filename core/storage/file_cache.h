#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"

namespace rechost {

/// What is written down of a file in the cache.
struct CacheRecord {
  std::string key;       ///< location, '\n', version: what the file is looked for by
  std::uint64_t size = 0;
  std::string checksum;  ///< of Checksum, over the whole file
  std::map<std::string, std::string> digests;  ///< that somebody knew beforehand and that were compared: name, hexadecimal
};

/// Copies of remote files in a folder that several processes share. It touches nothing but what it has made itself: the folder carries a
/// marker, and one that is not empty and has none is refused.
///
/// A file comes into being under incoming/ and is renamed into files/ when it is complete, with a record beside it; a process that is killed
/// leaves something that the next one recognises by its lock, which has died with the owner, and removes. Locks are those of open file
/// descriptions (fcntl F_OFD_SETLK). Whoever reads a file holds a lock on it, so that it is neither removed nor forgotten in the count.
/// All functions: any thread.
class FileCache {
 public:
  /// `directory` is made when it is needed. Throws nothing.
  FileCache(std::filesystem::path directory, std::uint64_t limit_bytes);

  std::uint64_t limit_bytes() const { return limit_bytes_; }
  const std::filesystem::path& directory() const { return directory_; }

  struct Found {
    FileDescriptor file;  ///< read-only; in use while any copy of it is open
    CacheRecord record;
    std::uint64_t inode = 0;
  };
  /// The file of this key, and that it was used now; nothing when it is not there, or not whole.
  std::optional<Found> find(const std::string& key);
  /// Whether find() would find something; a look only.
  bool contains(const std::string& key) const;

  /// A place for a file that is being made. Destroyed without keep(), it takes the bytes with it.
  class Incoming {
   public:
    Incoming(Incoming&&) noexcept = default;
    Incoming& operator=(Incoming&&) = delete;
    ~Incoming();
    const FileDescriptor& file() const { return file_; }

   private:
    friend class FileCache;
    Incoming(FileDescriptor file, std::filesystem::path path) : file_(std::move(file)), path_(std::move(path)) {}
    FileDescriptor file_;
    std::filesystem::path path_;
  };
  struct Admission {
    std::optional<Incoming> place;
    bool busy = false;                 ///< somebody else is making this very file, or has just made it
    std::uint64_t bytes_in_use = 0;    ///< of files that are read or made just now: why there is no place
  };
  /// Makes room for `size` bytes by removing what was used longest ago and is not in use. DataError when `size` is above the limit; Error when
  /// the disk is full.
  Admission admit(const std::string& key, std::uint64_t size);

  /// The bytes are complete. The result is open for reading.
  Found keep(Incoming incoming, CacheRecord record);

  /// Removes what killed processes left, and what is above the limit, which may have been a higher one before.
  void trim();

  /// Forgets a file whose bytes are not what they should be.
  void discard(const std::string& key);

 private:
  struct Entry;

  std::string name_of(const std::string& key) const;
  std::filesystem::path data_path(const std::string& name) const { return directory_ / "files" / (name + ".data"); }
  std::filesystem::path record_path(const std::string& name) const { return directory_ / "files" / (name + ".json"); }
  void prepare();
  FileDescriptor lock_directory() const;
  std::vector<Entry> entries() const;
  std::uint64_t sweep_incoming() const;
  bool make_room(std::uint64_t size, std::uint64_t& bytes_in_use) const;
  void remove(const std::string& name) const;

  std::filesystem::path directory_;
  std::uint64_t limit_bytes_;
};

}  // namespace rechost
