// The columns of a Parquet file that hold values: the leaves of its schema.
#ifndef RECHOST_PARQUET_LEAF_H
#define RECHOST_PARQUET_LEAF_H

#include <parquet/schema.h>

#include <cstdint>
#include <vector>

#include "text/column_roles.h"

namespace parquet_loader {

// What a loader wants to know of one leaf, and what reading it needs.
struct Leaf {
  // A list is called like the column that holds it, a member of a structure "structure.member".
  text::SourceColumn declared;
  int column = 0;  // position among the leaves of its file
  // Definition levels: from `element_level` on, a list has an element here; at `value_level` that element (or the value of a column without
  // lists) is there and not null.
  std::int16_t element_level = 0;
  std::int16_t value_level = 0;
  bool is_unsigned = false;  // integers
  bool can_exceed = false;   // integers and instants that may lie beyond the 64-bit ones with a sign
  std::int32_t scale = 0;    // decimals: value = integer / 10^scale
};

// All leaves, in the order of the file. `bytes_are_text`: so are byte arrays that do not say what they hold.
std::vector<Leaf> leaves_of(const parquet::SchemaDescriptor& schema, bool bytes_are_text);

}  // namespace parquet_loader

#endif  // RECHOST_PARQUET_LEAF_H
