// Columns whose pages hold numbers of entries of a dictionary: these go to the host as they are.
#ifndef RECHOST_PARQUET_DICTIONARY_H
#define RECHOST_PARQUET_DICTIONARY_H

#include <parquet/file_reader.h>

#include <cstdint>
#include <optional>

#include "leaf.h"
#include "rechost/cxx/dataset.hpp"

namespace parquet_loader {

// Can read_dictionary() read this column chunk of integers or texts? Not when its writer went over to plain values in the middle.
bool is_all_dictionary(const parquet::ColumnChunkMetaData& chunk);

// Appends the whole column of a row group to `builder`, a dictionary column of int64 or text, or null: then it is only checked. Rows without
// value and empty texts become nulls. Returns how many rows there are; nothing, and nothing was appended, where it takes a look at each value:
// another encoding, an entry that is no UTF-8, numbers beyond int64. Throws parquet::ParquetException.
std::optional<std::int64_t> read_dictionary(parquet::RowGroupReader& group, const Leaf& leaf, rechost::ColumnBuilder* builder);

}  // namespace parquet_loader

#endif  // RECHOST_PARQUET_DICTIONARY_H
