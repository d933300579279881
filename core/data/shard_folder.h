#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "data/source.h"

/// What a conversion writes, whatever the format: a split as a folder of shards.
namespace rechost {

/// A shard that is on the disk.
struct Shard {
  std::int64_t number = 0;
  std::int64_t first_row = 0;
  std::int64_t rows = 0;
  std::string file;         ///< in the folder
  std::uint64_t bytes = 0;  ///< of the file
  std::string checksum;     ///< of the file, as base/checksum.h has it
  std::string entry;        ///< what the index says of it; empty where there is none
};

/// Rows on their way into a shard, in the form that their format has for them.
class ShardRows {
 public:
  virtual ~ShardRows() = default;
  virtual std::int64_t rows() const = 0;
  /// What the rows [begin, end) take up in a shard, before compression.
  virtual std::uint64_t size(std::int64_t begin, std::int64_t end) const = 0;
  /// Appends the rows [begin, end) to `other`, which is of the same format.
  virtual void add_to(ShardRows& other, std::int64_t begin, std::int64_t end) const = 0;
};

/// A split to be written: what its shards look like and where they are. Never changes, so any thread may use it.
class ShardFolder {
 public:
  virtual ~ShardFolder() = default;

  const std::filesystem::path& path() const { return path_; }
  /// Makes the folder where it is missing.
  void make() const;
  /// Whether the file is still the one that was written; reads it.
  bool is_whole(const Shard& shard) const;

  virtual std::unique_ptr<ShardRows> no_rows() const = 0;
  /// The rows of `chunk` from `begin` on, with all columns of `source` in their order. `first_row`: of the chunk, in the split, for messages.
  /// Throws DataError naming row and column at a value that would read back as another one.
  virtual std::unique_ptr<ShardRows> rows_of(const ChunkSource& source, std::shared_ptr<const ChunkData> chunk, std::int64_t first_row, std::int64_t begin) const = 0;
  /// Whether a shard may have so many rows of so many bytes together.
  virtual bool holds(std::int64_t rows, std::uint64_t bytes) const = 0;
  /// Of a shard, for messages.
  virtual std::uint64_t shard_bytes() const = 0;
  /// The file is there whole, or not at all.
  virtual Shard write(const ShardRows& rows, std::int64_t number, std::int64_t first_row) const = 0;
  /// All shards are there: writes the file that says so. A folder that has it is complete.
  virtual void finish(std::span<const Shard> shards) const = 0;
  /// That file's name in the folder.
  virtual const char* finished_by() const = 0;

 protected:
  explicit ShardFolder(std::filesystem::path path) : path_(std::move(path)) {}
  /// Writes the file of a shard, whose other members are set, and fills in size and checksum.
  void write_file(Shard& shard, const std::string& contents) const;

 private:
  std::filesystem::path path_;
};

}  // namespace rechost
