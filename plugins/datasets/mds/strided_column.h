// One plain number of each sample, where samples have one size: a column is then a walk with one stride.
#ifndef RECHOST_MDS_STRIDED_COLUMN_H
#define RECHOST_MDS_STRIDED_COLUMN_H

#include <cstddef>
#include <cstdint>
#include <vector>

#include "encoding.h"
#include "rechost/cxx/dataset.hpp"
#include "text/column_roles.h"

namespace mds {

struct StridedColumn {
  std::size_t offset = 0;  // in the sample
  std::size_t column = 0;  // of the host
  Number number = Number::kInt64;
  text::Meaning meaning = text::Meaning::kId;
  std::int64_t null_integer = 0;

  // Appends `count` values, `stride` bytes apart, to the builder; null: checks them only. False when one of them is refused: what was
  // appended then has no meaning. What is refused and what is null is what ColumnPlan::decode() says of the same bytes.
  bool decode(const char* first, std::size_t stride, std::size_t count, rechost::ColumnBuilder* builder) const;
};

// Adds the columns of a use whose values begin at `offset` of each sample. False when they are none of plain numbers.
bool add_strided(const text::ColumnUse& use, const Encoding& encoding, std::size_t offset, std::int64_t null_integer,
                 std::vector<StridedColumn>& columns);

}  // namespace mds

#endif  // RECHOST_MDS_STRIDED_COLUMN_H
