#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "data/source.h"

/// What the host and its module rechost_parquet.so, which has Arrow's library behind it, say to each other. The program itself does without
/// Arrow: only who writes Parquet opens the module.
namespace rechost {

/// Rows [begin, end) of a chunk.
struct ChunkSlice {
  std::shared_ptr<const ChunkData> chunk;
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

struct ParquetCompression {
  std::string codec = "snappy";  ///< none, snappy, lz4, gz, br or zstd
  std::optional<int> level;      ///< of the last three; empty: the library's
};

/// The function that the module exports under kWriteParquet, with C linkage: `file` becomes a whole Parquet file with one row group of these
/// rows. `columns` are those of every chunk, in their order: a column that is nullable is OPTIONAL, a list is a LIST whose elements are REQUIRED.
/// Pages have checksums. The same rows give the same bytes, however they are cut into slices. Any thread, several at once. Throws Error. The
/// module belongs to this very build.
using WriteParquet = void (*)(std::span<const ColumnInfo> columns, std::span<const ChunkSlice> rows, const ParquetCompression& compression, std::string& file);
inline constexpr const char* kWriteParquet = "rechost_write_parquet";

}  // namespace rechost
