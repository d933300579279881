#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "data/mds_folder.h"
#include "data/mds_rows.h"
#include "data/source.h"

namespace rechost {

/// What an earlier conversion left, and who is told of what this one makes.
struct MdsProgress {
  std::vector<MdsShard> kept;                            ///< shards from the first on, without a gap; these rows are not read again
  std::function<void(const MdsShard& shard)> finished;  ///< any thread, one call at a time, in any order; may be empty
};

/// Writes all rows of a split in their order, and then the index. Chunks are read and encoded, and shards packed and written, by `threads`
/// threads; the bytes do not depend on their number. At most `threads` + 1 chunks and `threads` + 1 shards are in memory. Returns all shards.
/// Throws DataError at the first row that the loader cannot decode, and at a value that would read back as another one, naming the row;
/// ConfigError when a row alone is larger than a shard may be.
std::vector<MdsShard> convert_to_mds(ChunkSource& source, const MdsFolder& folder, int threads, const MdsProgress& progress = {});

}  // namespace rechost
