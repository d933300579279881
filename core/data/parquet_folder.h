#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/parquet_file.h"
#include "data/shard_folder.h"

namespace rechost {

/// "none", "snappy", "lz4", "zstd", "zstd:7", "gz:9", "br:5". Throws ConfigError, with all names, when there is no such compression.
ParquetCompression parquet_compression(const std::string& name);

struct ParquetOptions {
  ParquetCompression compression;
  std::uint64_t shard_bytes = 64 * 1024 * 1024;  ///< of the values in a shard, at most
};

/// Rows of one or several chunks, which live as long as these.
struct ParquetRows : ShardRows {
  std::vector<ChunkSlice> slices;
  std::vector<std::uint64_t> ends;  ///< [rows] what they take up up to the end of each

  std::int64_t rows() const override { return static_cast<std::int64_t>(ends.size()); }
  std::uint64_t size(std::int64_t begin, std::int64_t end) const override { return end_of(end) - end_of(begin); }
  void add_to(ShardRows& other, std::int64_t begin, std::int64_t end) const override;

 private:
  std::uint64_t end_of(std::int64_t rows) const { return rows == 0 ? 0 : ends[static_cast<std::size_t>(rows) - 1]; }
};

/// A split as Parquet files of one row group each: what a loader reads at once, and what one thread writes. Columns stand as the source has them.
class ParquetFolder : public ShardFolder {
 public:
  /// `module`: rechost_parquet.so, opened here. Throws ConfigError when there is no column, or when a name is there twice, and Error when the
  /// module cannot be opened. Touches no file of the folder.
  ParquetFolder(std::filesystem::path path, std::vector<ColumnInfo> columns, ParquetOptions options, const std::filesystem::path& module);

  std::unique_ptr<ShardRows> no_rows() const override { return std::make_unique<ParquetRows>(); }
  std::unique_ptr<ShardRows> rows_of(const ChunkSource& source, std::shared_ptr<const ChunkData> chunk, std::int64_t first_row, std::int64_t begin) const override;
  bool holds(std::int64_t, std::uint64_t bytes) const override { return bytes <= options_.shard_bytes; }
  std::uint64_t shard_bytes() const override { return options_.shard_bytes; }
  Shard write(const ShardRows& rows, std::int64_t number, std::int64_t first_row) const override;
  /// The empty file by which Hadoop and Spark tell that a folder is complete.
  void finish(std::span<const Shard> shards) const override;
  const char* finished_by() const override { return "_SUCCESS"; }

 private:
  std::vector<ColumnInfo> columns_;
  ParquetOptions options_;
  WriteParquet write_ = nullptr;
};

}  // namespace rechost
