#include "embedding/placement.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "base/error.h"
#include "data/order.h"

namespace rechost {

Sharding sharding_of(std::string_view name) {
  if (name == "auto") return Sharding::kAuto;
  if (name == "table_wise") return Sharding::kTableWise;
  if (name == "row_wise") return Sharding::kRowWise;
  fail<ConfigError>("unknown sharding \"{}\"; there are auto, table_wise and row_wise", name);
}

Placement::Placement(std::vector<TableSize> tables, int world_size)
    : world_size_(world_size),
      tables_(std::move(tables)),
      ranges_(tables_.size(), std::vector<RowRange>(static_cast<std::size_t>(world_size))),
      split_(tables_.size(), false) {
  const auto bytes_of = [&](std::size_t table) { return tables_[table].rows * tables_[table].bytes_per_row; };
  std::int64_t total = 0;
  for (std::size_t t = 0; t < tables_.size(); ++t) total += bytes_of(t);
  std::vector<std::size_t> by_size(tables_.size());
  std::iota(by_size.begin(), by_size.end(), std::size_t{0});
  const auto has_rank = [&](std::size_t table) { return tables_[table].rank != TableSize::kAnyRank; };
  // Stable: of equal tables the first in the model's order comes first, on every rank.
  std::stable_sort(by_size.begin(), by_size.end(), [&](std::size_t a, std::size_t b) { return std::pair(has_rank(a), bytes_of(a)) > std::pair(has_rank(b), bytes_of(b)); });

  std::vector<std::int64_t> load(static_cast<std::size_t>(world_size), 0);
  for (const std::size_t t : by_size) {
    const TableSize& table = tables_[t];
    const std::int64_t rows = table.rows;
    if (has_rank(t) && table.sharding == Sharding::kRowWise) {
      fail<ConfigError>("tables.\"{}\".rank = {}: with sharding = \"row_wise\" all ranks hold a part; leave one of the two out", table.name, table.rank);
    }
    if (world_size > 1 && has_rank(t) && (table.rank < 0 || table.rank >= world_size)) {
      fail<ConfigError>("tables.\"{}\".rank = {}: there are {} ranks, 0 to {}", table.name, table.rank, world_size, world_size - 1);
    }
    const bool too_large = rows >= world_size && 2 * bytes_of(t) > total / world_size;
    if (world_size > 1 && (table.sharding == Sharding::kRowWise || (table.sharding == Sharding::kAuto && !has_rank(t) && too_large))) {
      split_[t] = true;
      for (int rank = 0; rank < world_size; ++rank) {
        const PositionRange part = share_of(rows, {rank, world_size});
        ranges_[t][static_cast<std::size_t>(rank)] = {part.begin, part.end - part.begin};
        load[static_cast<std::size_t>(rank)] += ranges_[t][static_cast<std::size_t>(rank)].count * table.bytes_per_row;
      }
      continue;
    }
    const auto lightest = static_cast<std::size_t>(std::min_element(load.begin(), load.end()) - load.begin());
    const std::size_t holder = world_size > 1 && has_rank(t) ? static_cast<std::size_t>(table.rank) : lightest;
    // Ranges ascend over the ranks: those before the holder end where its begins.
    for (std::size_t rank = holder + 1; rank < load.size(); ++rank) ranges_[t][rank].first = rows;
    ranges_[t][holder] = {0, rows};
    load[holder] += bytes_of(t);
  }
}

std::int64_t Placement::bytes(int rank) const {
  std::int64_t bytes = 0;
  for (std::size_t t = 0; t < tables_.size(); ++t) bytes += range(t, rank).count * tables_[t].bytes_per_row;
  return bytes;
}

std::string Placement::describe(std::size_t table) const {
  if (is_split(table)) return fmt::format("rows over {} ranks", world_size_);
  for (int rank = 0; rank < world_size_; ++rank) {
    if (range(table, rank).count > 0) return fmt::format("rank {}", rank);
  }
  return "empty";
}

}  // namespace rechost
