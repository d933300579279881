#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include <boost/program_options.hpp>

#include "base/json.h"
#include "data/shard_folder.h"
#include "data/source.h"

namespace rechost::app {

/// The options of `data convert` that say how files are written.
class ConversionFormat {
 public:
  static void add_options(boost::program_options::options_description& visible);

  /// Throws UsageError and ConfigError.
  explicit ConversionFormat(const boost::program_options::variables_map& values);

  /// "mds" or "parquet": also the loader that reads it.
  const std::string& name() const { return name_; }

  /// All of it that decides the bytes of a split.
  Json identity() const;
  /// The columns of a split as they are written, as far as they decide the bytes.
  Json columns(const ChunkSource& source) const;
  std::unique_ptr<ShardFolder> folder(const std::filesystem::path& path, const ChunkSource& source) const;

  /// What the loader is to be told to read for a split that was written there.
  std::filesystem::path loader_path(const std::filesystem::path& folder) const;

 private:
  std::string name_, compression_, hashes_;
  std::uint64_t shard_bytes_ = 0;
};

}  // namespace rechost::app
