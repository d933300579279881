#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "embedding/placement.h"
#include "embedding/placement_cost.h"

namespace rechost {

/// Where each table goes. What a table says of its own place is kept; the others lie so that the rank with most to do has as little as possible, as far
/// as PlacementCosts know. No rank's tables are larger than `bytes_per_rank`; 0: or, if that can be, than half as much again as an even share of all.
///
/// The tables with most to do are spread over all ranks, the others go whole to the rank with least to do, largest first: how many are spread is tried
/// out. Then tables are moved, exchanged and spread as long as that helps.
///
/// Throws ConfigError for tables that do not fit.
std::vector<ShardChoice> choose_shards(std::span<const TableSize> tables, const RankLayout& ranks, std::int64_t bytes_per_rank);

/// "rank 2" or "rows over 4 ranks".
std::string where_text(ShardChoice choice, const RankLayout& ranks);

/// The best placement that differs from this one in where one table lies; nothing where no table's place is free.
struct OtherPlacement {
  std::size_t table = 0;
  ShardChoice where;
  double nanoseconds = 0.0;  ///< of the rank with most to do
};
std::optional<OtherPlacement> next_best(const Placement& placement, std::span<const TableSize> asked_for, std::int64_t bytes_per_rank,
                                        const PlacementCosts& costs = {});

}  // namespace rechost
