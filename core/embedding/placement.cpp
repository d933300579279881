#include "embedding/placement.h"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "data/order.h"

namespace rechost {

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
  // Stable: of equal tables the first in the model's order comes first, on every rank.
  std::stable_sort(by_size.begin(), by_size.end(), [&](std::size_t a, std::size_t b) { return bytes_of(a) > bytes_of(b); });

  std::vector<std::int64_t> load(static_cast<std::size_t>(world_size), 0);
  for (const std::size_t t : by_size) {
    const std::int64_t rows = tables_[t].rows;
    if (world_size > 1 && rows >= world_size && 2 * bytes_of(t) > total / world_size) {
      split_[t] = true;
      for (int rank = 0; rank < world_size; ++rank) {
        const PositionRange part = share_of(rows, {rank, world_size});
        ranges_[t][static_cast<std::size_t>(rank)] = {part.begin, part.end - part.begin};
        load[static_cast<std::size_t>(rank)] += ranges_[t][static_cast<std::size_t>(rank)].count * tables_[t].bytes_per_row;
      }
      continue;
    }
    const auto lightest = std::min_element(load.begin(), load.end()) - load.begin();
    // Ranges ascend over the ranks: those before the holder end where its begins.
    for (std::size_t rank = static_cast<std::size_t>(lightest) + 1; rank < load.size(); ++rank) ranges_[t][rank].first = rows;
    ranges_[t][static_cast<std::size_t>(lightest)] = {0, rows};
    load[static_cast<std::size_t>(lightest)] += bytes_of(t);
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
