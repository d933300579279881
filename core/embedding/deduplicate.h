#pragma once

#include <cstdint>

#include "embedding/prepared_ids.h"

namespace rechost {

/// Fills unique_rows, segment_offsets, positions and inverse of a group from its ids, all of them in [0, rows). One thread; the result is
/// the same whichever way it goes: counting all rows of a small table, or a radix sort for a large one.
void deduplicate(PreparedGroup& group, std::int64_t rows);

}  // namespace rechost
