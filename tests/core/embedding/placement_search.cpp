// Where tables go, against every place where they could go.
#include "embedding/placement_search.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <cmath>
#include <random>

#include "base/error.h"

using namespace rechost;

namespace {

/// Tables of all sizes, read in all ways.
std::vector<TableSize> random_tables(std::size_t count, std::mt19937_64& random) {
  const auto between = [&](double low, double high) { return std::exp(std::uniform_real_distribution<>(std::log(low), std::log(high))(random)); };
  std::vector<TableSize> tables;
  for (std::size_t i = 0; i < count; ++i) {
    TableSize table;
    table.name = "t" + std::to_string(i);
    table.rows = static_cast<std::int64_t>(between(2.0, 1e7));
    table.dim = std::int64_t{4} << (random() % 6);
    table.columns_at_once = 4;
    const bool rowwise = random() % 2 == 0;
    if (rowwise) table.whole_row_rule = "rowwise_adagrad";
    table.bytes_per_row = 4 * (rowwise ? table.dim + 1 : 2 * table.dim);
    if (random() % 4 != 0) {
      table.traffic.rank_rows = std::min(static_cast<double>(table.rows), between(1.0, 50000.0));
      table.traffic.batch_rows = std::min(static_cast<double>(table.rows), table.traffic.rank_rows * between(1.0, 3.0));
      table.traffic.fullest_range = random() % 2 == 0 ? 0.0 : 0.9;
    }
    tables.push_back(std::move(table));
  }
  return tables;
}

/// The step of the best of all placements whose ranks hold at most `limit` bytes; infinity: there is none.
double best_of_all(std::vector<TableSize> tables, std::size_t next, const RankLayout& layout, std::int64_t limit) {
  const int ranks = layout.world_size();
  if (next == tables.size()) {
    const Placement placement(tables, layout);
    for (int rank = 0; rank < ranks; ++rank) {
      if (placement.bytes(rank) > limit) return std::numeric_limits<double>::infinity();
    }
    return longest(loads_of(placement));
  }
  double best = std::numeric_limits<double>::infinity();
  TableSize& table = tables[next];
  for (const Sharding sharding : {Sharding::kRowWise, Sharding::kRowWiseHash, Sharding::kColumnWise, Sharding::kDataParallel, Sharding::kGrid}) {
    const auto may_be_cut = [&](int parts) { return table.whole_row_rule.empty() && table.dim >= parts * table.columns_at_once; };
    if (sharding == Sharding::kColumnWise && !may_be_cut(ranks)) continue;
    if (sharding == Sharding::kGrid && (layout.node_count() == 1 || !may_be_cut(layout.node_count()))) continue;
    table.sharding = sharding;
    best = std::min(best, best_of_all(tables, next + 1, layout, limit));
  }
  table.sharding = Sharding::kTableWise;
  for (table.rank = 0; table.rank < ranks; ++table.rank) best = std::min(best, best_of_all(tables, next + 1, layout, limit));
  table.sharding = Sharding::kTableRowWise;
  for (int node = 0; node < layout.node_count() && layout.node_count() > 1; ++node) {
    table.rank = layout.ranks_of(node).front();
    best = std::min(best, best_of_all(tables, next + 1, layout, limit));
  }
  return best;
}

std::int64_t all_bytes(const std::vector<TableSize>& tables) {
  std::int64_t bytes = 0;
  for (const TableSize& table : tables) bytes += table.rows * table.bytes_per_row;
  return bytes;
}

}  // namespace

TEST_CASE("a placement is within a tenth of the best there is") {
  const std::uint64_t seed = std::random_device{}();
  std::mt19937_64 random(seed);
  double worst = 1.0;
  int over_nodes = 0;
  for (int round = 0; round < 120; ++round) {
    RankLayout layout(2 + static_cast<int>(random() % 3));
    std::size_t most_tables = layout.world_size() == 2 ? 5 : 4;
    if (round % 3 == 0) {
      // Nodes of one rank, of two, of two and one; links between them of all speeds.
      layout = RankLayout(layout.world_size(), 1 + static_cast<int>(random() % 2));
      layout.set_wire({.within = 0.2, .between = 0.2 * std::exp2(static_cast<double>(random() % 8))});
      most_tables = 3;
    }
    const int ranks = layout.world_size();
    const std::vector<TableSize> tables = random_tables(1 + random() % most_tables, random);
    // Room for everything on one rank, or for little more than an even share.
    const std::int64_t all = all_bytes(tables);
    const std::int64_t limit = random() % 2 == 0 ? all + 1000 : all / ranks + all / 5 + 1000;
    const double best = best_of_all(tables, 0, layout, limit);
    INFO("seed " << seed << ", round " << round << ", " << tables.size() << " tables, " << ranks << " ranks on " << layout.node_count() << " nodes, limit " << limit);
    if (best == std::numeric_limits<double>::infinity()) {
      CHECK_THROWS_AS(Placement(tables, layout, limit), ConfigError);
      continue;
    }
    const Placement placement(tables, layout, limit);
    for (int rank = 0; rank < ranks; ++rank) CHECK(placement.bytes(rank) <= limit);
    for (std::size_t t = 0; t < tables.size(); ++t) over_nodes += placement.sharding(t) == Sharding::kTableRowWise || placement.sharding(t) == Sharding::kGrid ? 1 : 0;
    const double ours = longest(loads_of(placement));
    worst = std::max(worst, ours / best);
    CHECK(ours <= 1.1 * best);
    CHECK(ours >= best * (1.0 - 1e-9));
  }
  WARN("seed " << seed << ": at worst " << worst << " times the best; " << over_nodes << " tables by nodes");
}

TEST_CASE("tables keep to nodes where links between them are slow") {
  // Four nodes of four ranks, and as many large tables that all read: one for each node is all that no rank has more of than another.
  std::vector<TableSize> tables;
  for (const char* const name : {"a", "b", "c", "d"}) {
    TableSize table{name, 1000000, 68, Sharding::kAuto, TableSize::kAnyRank, 16};
    table.whole_row_rule = "rowwise_adagrad";
    table.traffic = {.rank_rows = 4000.0, .batch_rows = 40000.0};
    tables.push_back(table);
  }
  RankLayout layout(16, 4);
  layout.set_wire({.within = 0.01, .between = 10.0});
  const Placement slow(tables, layout);
  for (std::size_t t = 0; t < tables.size(); ++t) CHECK(slow.sharding(t) == Sharding::kTableRowWise);
  CHECK(slow.describe(0) != slow.describe(1));
  const std::optional<OtherPlacement> other = next_best(slow, tables, 0);
  REQUIRE(other);
  CHECK(where_text(other->where, layout) != slow.describe(other->table));
  CHECK(other->nanoseconds >= longest(loads_of(slow)) * 0.999);
}

TEST_CASE("a thousand tables are placed on 64 ranks within a second") {
  std::mt19937_64 random(5);
  const std::vector<TableSize> tables = random_tables(1000, random);
  const RankLayout layout = GENERATE(RankLayout(64), RankLayout(64, 8));
  const auto begin = std::chrono::steady_clock::now();
  const Placement placement(tables, layout);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const std::vector<RankLoad> loads = loads_of(placement);
  double sum = 0.0;
  for (const RankLoad& load : loads) sum += load.nanoseconds;
  WARN(seconds << " s; the rank with most to do has " << longest(loads) / (sum / 64.0) << " times the mean");
  // The promise is one second; a machine that others use too gets more before this test gives up.
  CHECK(seconds <= 3.0);
  CHECK(longest(loads) <= 1.1 * sum / 64.0);
  for (int rank = 0; rank < 64; ++rank) CHECK(placement.bytes(rank) <= all_bytes(tables) / 64 * 3 / 2);
}

TEST_CASE("tables that do not fit are refused with what would be needed") {
  const std::vector<TableSize> tables{{"a", 1000, std::int64_t{1} << 20}, {"b", 1000, std::int64_t{1} << 20}};
  CHECK_THROWS_WITH(Placement(tables, 2, std::int64_t{900} << 20),
                    Catch::Contains("placement.memory_gib = 0.878906: the tables do not fit; one of 2 ranks would need 0.976562 GiB"));
  CHECK_NOTHROW(Placement(tables, 2, std::int64_t{1000} << 20));
}

TEST_CASE("work decides where there is room, not size") {
  // Read by everybody, and by nobody.
  TableSize busy{"busy", 100000, 68, Sharding::kAuto, TableSize::kAnyRank, 16};
  busy.traffic = {.rank_rows = 4000.0, .batch_rows = 8000.0};
  TableSize idle = busy;
  idle.name = "idle";
  idle.traffic = {.rank_rows = 1.0, .batch_rows = 1.0};
  TableSize other = busy;
  other.name = "other";
  const Placement placement({busy, idle, other}, 2);
  // Both that are read are not on one rank.
  CHECK(std::abs(loads_of(placement)[0].nanoseconds / loads_of(placement)[1].nanoseconds - 1.0) < 0.1);
}

TEST_CASE("the next best placement is worse, and differs in one table") {
  std::mt19937_64 random(9);
  for (int round = 0; round < 20; ++round) {
    const std::vector<TableSize> tables = random_tables(4, random);
    const std::int64_t all = all_bytes(tables) + 1000;
    const Placement placement(tables, 3, all);
    const std::optional<OtherPlacement> other = next_best(placement, tables, all);
    REQUIRE(other);
    CHECK(other->nanoseconds >= longest(loads_of(placement)) * 0.999);
    std::vector<TableSize> pinned = tables;
    for (std::size_t t = 0; t < tables.size(); ++t) {
      pinned[t].sharding = t == other->table ? other->where.sharding : placement.sharding(t);
      for (int rank = 0; rank < 3 && pinned[t].sharding == Sharding::kTableWise; ++rank) {
        if (!placement.shard(t, rank).is_empty()) pinned[t].rank = rank;
      }
      if (t == other->table && other->where.sharding == Sharding::kTableWise) pinned[t].rank = other->where.rank;
    }
    const Placement made(pinned, 3);
    CHECK(made.describe(other->table) == where_text(other->where, 3));
    CHECK(made.describe(other->table) != placement.describe(other->table));
    CHECK(longest(loads_of(made)) == Approx(other->nanoseconds));
  }
}
