#include "app/conversion_format.h"

#include <limits>

#include "app/command.h"
#include "app/environment.h"
#include "base/error.h"
#include "data/column_names.h"
#include "data/mds_folder.h"
#include "data/mds_rows.h"
#include "data/parquet_folder.h"

namespace rechost::app {

namespace fs = std::filesystem;
namespace options = boost::program_options;

void ConversionFormat::add_options(options::options_description& visible) {
  visible.add_options()("to", options::value<std::string>()->default_value("mds"), "what to write: mds or parquet")(
      "compression", options::value<std::string>(), "none, zstd, gz, br (with a level if need be: zstd:7) or snappy; mds: also bz2, parquet: also lz4. Without it: mds none, parquet snappy")(
      "hashes", options::value<std::string>(), "mds: digests of each shard for the index, with commas between them, or none; without it xxh3_64")(
      "shard-bytes", options::value<std::int64_t>()->default_value(MdsOptions{}.shard_bytes), "size of a shard before compression, at most");
}

ConversionFormat::ConversionFormat(const options::variables_map& values) : name_(values["to"].as<std::string>()) {
  if (name_ != "mds" && name_ != "parquet") throw UsageError(fmt::format("--to {}: mds and parquet are what can be written", name_));
  const bool mds = name_ == "mds";
  if (!mds && values.count("hashes") != 0) throw UsageError("--hashes belongs to mds: pages of Parquet files have checksums of their own");
  const auto shard_bytes = values["shard-bytes"].as<std::int64_t>();
  if (shard_bytes < 1 || shard_bytes > std::numeric_limits<std::uint32_t>::max()) {
    throw UsageError(fmt::format("--shard-bytes {}: a shard has less than 4 GiB", shard_bytes));
  }
  shard_bytes_ = static_cast<std::uint64_t>(shard_bytes);
  compression_ = values.count("compression") != 0 ? values["compression"].as<std::string>() : mds ? "none" : "snappy";
  hashes_ = values.count("hashes") != 0 ? values["hashes"].as<std::string>() : "xxh3_64";
  if (hashes_ == "none") hashes_.clear();
  // A mistake is told before anything is read.
  if (mds) {
    mds_hashes(hashes_);
    if (compression_ == "none") compression_.clear();
    static_cast<void>(MdsCompression(compression_));
  } else {
    parquet_compression(compression_);
  }
}

Json ConversionFormat::identity() const {
  Json identity{{"to", name_}, {"compression", compression_}};
  if (name_ == "mds") identity["hashes"] = mds_hashes(hashes_);
  identity["shard_bytes"] = shard_bytes_;
  return identity;
}

Json ConversionFormat::columns(const ChunkSource& source) const {
  Json columns = Json::array();
  for (const ColumnInfo& column : source.columns()) {
    if (name_ == "mds") {
      columns.push_back({column.name, mds_column(column).encoding});
    } else {
      columns.push_back({column.name, name_of(column.type), column.is_list, column.is_binary, column.nullable});
    }
  }
  return columns;
}

std::unique_ptr<ShardFolder> ConversionFormat::folder(const fs::path& path, const ChunkSource& source) const {
  if (name_ == "parquet") {
    return std::make_unique<ParquetFolder>(path, source.columns(), ParquetOptions{.compression = parquet_compression(compression_), .shard_bytes = shard_bytes_},
                                           host_module("rechost_parquet.so"));
  }
  return std::make_unique<MdsFolder>(path, mds_columns(source), MdsOptions{.compression = MdsCompression(compression_), .hashes = mds_hashes(hashes_), .shard_bytes = static_cast<std::uint32_t>(shard_bytes_)});
}

fs::path ConversionFormat::loader_path(const fs::path& folder) const {
  if (name_ != "parquet") return folder;
  // A pattern: other files may lie beside the shards. What would be a pattern in the folder's own name is put in brackets.
  std::string pattern;
  for (const char character : folder.string()) pattern += std::string("*?[").find(character) == std::string::npos ? std::string(1, character) : std::string("[") + character + "]";
  return fs::path(pattern) / "shard.*.parquet";
}

}  // namespace rechost::app
