#include "embedding/placement.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "data/order.h"
#include "embedding/placement_search.h"

namespace rechost {
namespace {

constexpr std::array<std::pair<Sharding, std::string_view>, 8> kNames{{{Sharding::kAuto, "auto"},
                                                                       {Sharding::kTableWise, "table_wise"},
                                                                       {Sharding::kRowWise, "row_wise"},
                                                                       {Sharding::kRowWiseHash, "row_wise_hash"},
                                                                       {Sharding::kColumnWise, "column_wise"},
                                                                       {Sharding::kDataParallel, "data_parallel"},
                                                                       {Sharding::kTableRowWise, "table_row_wise"},
                                                                       {Sharding::kGrid, "grid"}}};

bool is_on_all_ranks(Sharding sharding) { return sharding != Sharding::kAuto && !is_on_some(sharding); }

void check(const TableSize& table, const RankLayout& ranks) {
  const int world_size = ranks.world_size();
  if (table.rank != TableSize::kAnyRank && is_on_all_ranks(table.sharding)) {
    fail<ConfigError>("tables.\"{}\".rank = {}: with sharding = \"{}\" all ranks hold a part; leave one of the two out", table.name, table.rank,
                      sharding_name(table.sharding));
  }
  if (world_size > 1 && table.rank != TableSize::kAnyRank && (table.rank < 0 || table.rank >= world_size)) {
    fail<ConfigError>("tables.\"{}\".rank = {}: there are {} ranks, 0 to {}", table.name, table.rank, world_size, world_size - 1);
  }
  const bool cuts_rows = table.sharding == Sharding::kColumnWise || (table.sharding == Sharding::kGrid && ranks.node_count() > 1);
  if (cuts_rows && !table.whole_row_rule.empty()) {
    fail<ConfigError>("tables.\"{}\".sharding = \"{}\": {} needs all columns of a row in one place; set tables.\"{}\".optimizer to another one "
                      "(adagrad, adam, sgd), or another sharding",
                      table.name, sharding_name(table.sharding), table.whole_row_rule, table.name);
  }
}

RowRange range_of(std::int64_t count, int rank, int ranks) {
  const PositionRange part = share_of(count, {rank, ranks});
  return {part.begin, part.end - part.begin};
}

/// As equal as multiples of columns_at_once can be.
ColumnRange columns_of(const TableSize& table, int rank, int ranks) {
  const std::int64_t units = (table.dim + table.columns_at_once - 1) / table.columns_at_once;
  const RowRange part = range_of(units, rank, ranks);
  const std::int64_t first = std::min(part.first * table.columns_at_once, table.dim);
  return {first, std::min(part.end() * table.columns_at_once, table.dim) - first};
}

std::int64_t bytes_of(const TableSize& table, const TableShard& shard) {
  if (shard.is_empty()) return 0;
  return shard.places.count * table.bytes_per_row * shard.columns.count / table.dim;
}

}  // namespace

Sharding sharding_of(std::string_view name) {
  for (const auto& [sharding, known] : kNames) {
    if (known == name) return sharding;
  }
  fail<ConfigError>("unknown sharding \"{}\"; there are auto, table_wise, row_wise, row_wise_hash, column_wise, data_parallel, table_row_wise and grid", name);
}

std::string_view sharding_name(Sharding sharding) {
  return std::find_if(kNames.begin(), kNames.end(), [&](const auto& entry) { return entry.first == sharding; })->second;
}

RankLayout::RankLayout(int world_size, int ranks_per_node) {
  for (int rank = 0; rank < world_size; ++rank) add_rank(rank / ranks_per_node);
}

RankLayout::RankLayout(const std::vector<std::string>& node_names) {
  std::vector<std::string> known;
  for (const std::string& name : node_names) {
    const auto found = std::find(known.begin(), known.end(), name);
    const auto node = static_cast<int>(found - known.begin());
    if (found == known.end()) known.push_back(name);
    add_rank(node);
  }
}

void RankLayout::add_rank(int node) {
  if (node == node_count()) ranks_of_.emplace_back();
  ranks_of_[static_cast<std::size_t>(node)].push_back(world_size());
  node_of_.push_back(node);
}

int RankLayout::fewest_ranks() const {
  std::size_t fewest = node_of_.size();
  for (const std::vector<int>& ranks : ranks_of_) fewest = std::min(fewest, ranks.size());
  return static_cast<int>(fewest);
}

void Placement::place_on_all(std::size_t t) {
  const TableSize& table = tables_[t];
  if (shardings_[t] == Sharding::kRowWiseHash && table.rows > 0) orders_[t] = RowOrder::scattered(table.rows);
  for (int rank = 0; rank < world_size(); ++rank) {
    TableShard& shard = shards_[t][static_cast<std::size_t>(rank)];
    const bool by_rows = shardings_[t] == Sharding::kRowWise || shardings_[t] == Sharding::kRowWiseHash;
    shard.places = by_rows ? range_of(table.rows, rank, world_size()) : RowRange{0, table.rows};
    shard.columns = shardings_[t] == Sharding::kColumnWise ? columns_of(table, rank, world_size()) : ColumnRange{0, table.dim};
  }
}

void Placement::place_on_node(std::size_t t, int node) {
  const std::vector<int>& members = ranks_.ranks_of(node);
  for (std::size_t i = 0; i < members.size(); ++i) {
    const RowRange places = range_of(tables_[t].rows, static_cast<int>(i), static_cast<int>(members.size()));
    shards_[t][static_cast<std::size_t>(members[i])] = {places, {0, tables_[t].dim}};
  }
}

void Placement::place_on_grid(std::size_t t) {
  for (int node = 0; node < ranks_.node_count(); ++node) {
    place_on_node(t, node);
    for (const int rank : ranks_.ranks_of(node)) shards_[t][static_cast<std::size_t>(rank)].columns = columns_of(tables_[t], node, ranks_.node_count());
  }
}

void Placement::place_whole(std::size_t t, std::size_t holder) {
  // Ranges ascend over the ranks: those before the holder end where its begins.
  for (std::size_t rank = holder + 1; rank < shards_[t].size(); ++rank) shards_[t][rank].places.first = tables_[t].rows;
  shards_[t][holder] = {{0, tables_[t].rows}, {0, tables_[t].dim}};
}

Placement::Placement(std::vector<TableSize> tables, RankLayout ranks, std::int64_t bytes_per_rank)
    : ranks_(std::move(ranks)),
      tables_(std::move(tables)),
      shardings_(tables_.size(), Sharding::kTableWise),
      orders_(tables_.size()),
      shards_(tables_.size(), std::vector<TableShard>(static_cast<std::size_t>(world_size()))) {
  for (const TableSize& table : tables_) check(table, ranks_);
  std::vector<ShardChoice> choices(tables_.size());
  if (world_size() > 1) choices = choose_shards(tables_, ranks_, bytes_per_rank);
  for (std::size_t t = 0; t < tables_.size(); ++t) {
    shardings_[t] = choices[t].sharding;
    if (shardings_[t] == Sharding::kTableWise) {
      place_whole(t, static_cast<std::size_t>(choices[t].rank));
    } else if (shardings_[t] == Sharding::kTableRowWise) {
      place_on_node(t, ranks_.node_of(choices[t].rank));
    } else if (shardings_[t] == Sharding::kGrid) {
      place_on_grid(t);
    } else {
      place_on_all(t);
    }
  }
}

int Placement::first_holder(std::size_t table) const {
  int rank = 0;
  while (rank + 1 < world_size() && shard(table, rank).is_empty()) ++rank;
  return rank;
}

RowRange Placement::held_rows(std::size_t table, int rank) const {
  const TableShard& held = shard(table, rank);
  if (held.is_empty()) return {held.places.first, 0};
  return order(table).as_numbered() ? held.places : RowRange{0, tables_[table].rows};
}

RowRange Placement::shown_rows(std::size_t table, int rank) const {
  if (is_shown_together(table) || is_copied(table)) return range_of(tables_[table].rows, rank, world_size());
  return shard(table, rank).places;
}

std::int64_t Placement::most_shown_rows(std::size_t table) const {
  std::int64_t most = 0;
  for (int rank = 0; rank < world_size(); ++rank) most = std::max(most, shown_rows(table, rank).count);
  return most;
}

std::int64_t Placement::bytes(int rank) const {
  std::int64_t bytes = 0;
  for (std::size_t t = 0; t < tables_.size(); ++t) bytes += bytes_of(tables_[t], shard(t, rank));
  return bytes;
}

std::string Placement::describe(std::size_t table) const {
  const int rank = first_holder(table);
  if (!shard(table, rank).is_empty()) return where_text({shardings_[table], rank}, ranks_);
  return "empty";
}

}  // namespace rechost
