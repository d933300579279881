#pragma once

#include <cstdint>
#include <limits>

#include "data/mds_writer.h"
#include "data/source.h"

namespace rechost {

/// MDS has no missing integers and no empty arrays: this number stands for the one, and alone in an array for the other. The loader "mds"
/// reads it back as such.
constexpr std::int64_t kMdsNullInteger = std::numeric_limits<std::int64_t>::min();

/// What stands between the texts of a list, which is written as one text.
constexpr char kMdsListSeparator = '|';

/// How a column is written. Numbers keep their type; integers that may be missing and lists of integers become 64 bits wide; booleans become
/// uint8; texts "str", where an empty one stands for a missing id; a missing number of floating point is NaN.
MdsColumn mds_column(const ColumnInfo& column);

/// Writes all rows of a split in their order. Throws DataError at the first row that the loader cannot decode, and at a value that would
/// read back as another one; it names the row.
void convert_to_mds(ChunkSource& source, MdsWriter& writer);

}  // namespace rechost
