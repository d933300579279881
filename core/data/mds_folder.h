#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/mds_compression.h"
#include "data/shard_folder.h"

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
struct MdsRows : ShardRows {
  std::string bytes;
  std::vector<std::uint64_t> ends;  ///< [rows] where each ends in `bytes`

  std::int64_t rows() const override { return static_cast<std::int64_t>(ends.size()); }
  std::uint64_t size(std::int64_t begin, std::int64_t end) const override { return end_of(end) - end_of(begin); }
  void add_to(ShardRows& other, std::int64_t begin, std::int64_t end) const override;

 private:
  std::uint64_t end_of(std::int64_t rows) const { return rows == 0 ? 0 : ends[static_cast<std::size_t>(rows) - 1]; }
};

class MdsFolder : public ShardFolder {
 public:
  /// Throws ConfigError when there is no column, or when a name is there twice. Touches no file.
  MdsFolder(std::filesystem::path path, std::vector<MdsColumn> columns, MdsOptions options);

  /// As they stand in a sample: sorted by name.
  const std::vector<MdsColumn>& columns() const { return columns_; }
  /// [columns()] the position of each in the list that was given to the constructor.
  const std::vector<std::size_t>& sources() const { return sources_; }

  std::unique_ptr<ShardRows> no_rows() const override { return std::make_unique<MdsRows>(); }
  std::unique_ptr<ShardRows> rows_of(const ChunkSource& source, std::shared_ptr<const ChunkData> chunk, std::int64_t first_row, std::int64_t begin) const override;
  bool holds(std::int64_t rows, std::uint64_t bytes) const override;
  std::uint64_t shard_bytes() const override { return options_.shard_bytes; }
  Shard write(const ShardRows& rows, std::int64_t number, std::int64_t first_row) const override;
  void finish(std::span<const Shard> shards) const override;
  const char* finished_by() const override { return "index.json"; }

 private:
  std::vector<MdsColumn> columns_;
  std::vector<std::size_t> sources_;
  MdsOptions options_;
  std::string header_;  // JSON at the head of each shard
};

}  // namespace rechost
