#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "data/mds_folder.h"
#include "data/source.h"

namespace rechost {

/// MDS has no missing integers and no empty arrays: this number stands for the one, and alone in an array for the other. The loader "mds"
/// reads it back as such.
constexpr std::int64_t kMdsNullInteger = std::numeric_limits<std::int64_t>::min();

/// What stands between the texts of a list, which is written as one text.
constexpr char kMdsListSeparator = '|';

/// How a column is written. Numbers keep their type; integers that may be missing and lists of integers become 64 bits wide; booleans become
/// uint8; texts "str", where an empty one stands for a missing id; bytes "bytes"; a missing number of floating point is NaN.
MdsColumn mds_column(const ColumnInfo& column);

/// How all columns are written.
std::vector<MdsColumn> mds_columns(const ChunkSource& source);

/// Encodes the rows of `chunk` from `begin` on, with all columns of `source` in their order, as `folder` has them. `first_row`: of the chunk,
/// in the split, for messages. Throws DataError naming row and column at a value that would read back as another one.
MdsRows mds_rows(const ChunkSource& source, const ChunkData& chunk, const MdsFolder& folder, std::int64_t first_row, std::int64_t begin);

}  // namespace rechost
