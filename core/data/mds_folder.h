#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/mds_compression.h"

/// Shards in version 2 of the MDS format of MosaicML's StreamingDataset, and their index. Uncompressed shards and the index are, byte for
/// byte, those of its own MDSWriter for the same samples, encodings, hashes and size limit.
namespace rechost {

struct MdsColumn {
  std::string name;
  std::string encoding;               ///< "int32", "str", "ndarray:int64", ...
  std::optional<std::uint32_t> size;  ///< bytes of every value; empty where they vary
};

struct MdsOptions {
  MdsCompression compression{""};
  std::vector<std::string> hashes{"xxh3_64"};    ///< of each file, sorted by name; see mds_hashes()
  std::uint32_t shard_bytes = 64 * 1024 * 1024;  ///< of an uncompressed shard, at most
};

/// The names in a list with commas, which may be empty, sorted and each once. Throws ConfigError for one that is not known.
std::vector<std::string> mds_hashes(std::string_view list);

/// Encoded samples one after the other.
struct MdsRows {
  std::string bytes;
  std::vector<std::uint64_t> ends;  ///< [rows] where each ends in `bytes`

  /// Appends the rows [begin, end) to `other`.
  void add_to(MdsRows& other, std::size_t begin, std::size_t end) const;
};

/// A shard that is on the disk.
struct MdsShard {
  std::int64_t number = 0;
  std::int64_t first_row = 0;
  std::int64_t rows = 0;
  std::string file;         ///< in the folder
  std::uint64_t bytes = 0;  ///< of the file
  std::string checksum;     ///< of the file, as base/checksum.h has it
  std::string entry;        ///< what the index says of it, JSON
};

/// A data set to be written: what its shards look like and where they are. Never changes, so any thread may use it.
class MdsFolder {
 public:
  /// Throws ConfigError when there is no column, or when a name is there twice. Touches no file.
  MdsFolder(std::filesystem::path path, std::vector<MdsColumn> columns, MdsOptions options);

  const std::filesystem::path& path() const { return path_; }
  /// As they stand in a sample: sorted by name.
  const std::vector<MdsColumn>& columns() const { return columns_; }
  /// [columns()] the position of each in the list that was given to the constructor.
  const std::vector<std::size_t>& sources() const { return sources_; }
  const MdsOptions& options() const { return options_; }

  /// Makes the folder where it is missing.
  void make() const;
  /// Whether a shard may have so many rows of so many bytes together.
  bool holds(std::size_t rows, std::uint64_t bytes) const;
  /// The file is there whole, or not at all.
  MdsShard write(const MdsRows& rows, std::int64_t number, std::int64_t first_row) const;
  /// Whether the file is still the one that was written; reads it.
  bool is_whole(const MdsShard& shard) const;
  /// A folder that has an index is complete.
  void write_index(std::span<const MdsShard> shards) const;

 private:
  std::filesystem::path path_;
  std::vector<MdsColumn> columns_;
  std::vector<std::size_t> sources_;
  MdsOptions options_;
  std::string header_;  // JSON at the head of each shard
};

}  // namespace rechost
