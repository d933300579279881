#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/prepare.h"
#include "plugin/dataset_instance.h"

namespace rechost {

/// The loader of a run: one, or one for each of [data.streams], all of one plugin.
class StreamLoader {
 public:
  struct Stream {
    std::string name;  ///< empty: there are no [data.streams]
    DatasetInstance loader;
  };

  /// At least one.
  explicit StreamLoader(std::vector<Stream> streams) : streams_(std::move(streams)) {}

  const Module& module() const { return streams_.front().loader.module(); }

  /// What all streams offer. DataError names one that offers something else.
  std::vector<std::string> list_splits() const;

  /// A split of all streams, one after the other. Of a validation or test split that several streams share, as told by fingerprints, one copy.
  /// DataError names a stream whose columns are not those of the first.
  SplitSource open_split(const std::string& split) const;
  std::shared_ptr<ChunkSource> open(const std::string& split) const { return open_split(split).source; }

 private:
  std::vector<Stream> streams_;
};

}  // namespace rechost
