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

class MdsWriter {
 public:
  /// Makes the folder. Throws ConfigError when it has an index already, when there is no column, or when a name is there twice.
  MdsWriter(std::filesystem::path folder, std::vector<MdsColumn> columns, MdsOptions options);

  /// `payloads` [columns, in the order given to the constructor]: the encoded values of one sample. Throws ConfigError when a sample alone
  /// is larger than a shard may be.
  void write(std::span<const std::string> payloads);

  /// Writes the last shard and then the index: a folder that has one is complete.
  void finish();

  std::int64_t samples() const { return samples_; }
  std::int64_t shards() const { return static_cast<std::int64_t>(entries_.size()); }
  /// On the disk, the index left out.
  std::uint64_t bytes() const { return bytes_; }

 private:
  void flush();

  std::filesystem::path folder_;
  std::vector<MdsColumn> columns_;   // sorted by name
  std::vector<std::size_t> sources_; // [columns_] position in `payloads`
  MdsOptions options_;
  std::string header_;               // JSON at the head of each shard
  std::string pending_;              // encoded samples of the shard being filled
  std::vector<std::uint32_t> ends_;  // where they end in it
  std::vector<std::string> entries_; // JSON of the shards written
  std::int64_t samples_ = 0;
  std::uint64_t bytes_ = 0;
};

}  // namespace rechost
