#pragma once

#include <cstdint>

#include "data/row_counts.h"
#include "embedding/placement.h"

namespace rechost {

/// What a step will read of a table of `rows` rows, as it is to be expected of so many ids that are drawn as often as the training data have them:
/// `counts` of its rows, or null: all alike. `ids`: of a whole batch, which `ranks` share.
RowTraffic expected_traffic(const RowCounts* counts, std::int64_t rows, double ids, int ranks);

}  // namespace rechost
