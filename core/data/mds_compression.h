#pragma once

#include <string>
#include <string_view>

namespace rechost {

/// How shards of MDS are compressed, by the names that MosaicML's MDSWriter has: zstd, zstd:1 to zstd:22; gz, gz:0 to gz:9; bz2, bz2:1 to
/// bz2:9; br, br:0 to br:11; snappy. The same bytes are packed into the same bytes, by one version of a library.
class MdsCompression {
 public:
  /// Empty: none. Throws ConfigError, with all names, when there is no such compression.
  explicit MdsCompression(std::string name);

  bool none() const { return name_.empty(); }
  const std::string& name() const { return name_; }
  /// What file names end in, without the dot.
  std::string extension() const { return name_.substr(0, name_.find(':')); }

  /// A whole shard, below 4 GiB. Any thread, several at once. Not when there is no compression.
  std::string packed(std::string_view raw) const;

 private:
  std::string name_;
  int level_ = 0;
};

}  // namespace rechost
