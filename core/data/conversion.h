#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "data/shard_folder.h"
#include "data/source.h"

namespace rechost {

/// What an earlier conversion left, and who is told of what this one makes.
struct ConversionProgress {
  std::vector<Shard> kept;                           ///< shards from the first on, without a gap; these rows are not read again
  std::function<void(const Shard& shard)> finished;  ///< any thread, one call at a time, in any order; may be empty
};

/// Writes all rows of a split in their order as shards of `folder`, and then the file that says that they are all there. Chunks are read and
/// encoded, and shards packed and written, by `threads` threads; the bytes do not depend on their number. At most `threads` + 1 chunks and the
/// shards of `threads` + 1, or of one chunk if these are more, are in memory. Returns all shards.
/// Throws DataError at the first row that the loader cannot decode, and at a value that would read back as another one, naming the row;
/// ConfigError when a row alone is larger than a shard may be.
std::vector<Shard> convert(ChunkSource& source, const ShardFolder& folder, int threads, const ConversionProgress& progress = {});

}  // namespace rechost
