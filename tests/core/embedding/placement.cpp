#include "embedding/placement.h"

#include <algorithm>
#include <catch2/catch.hpp>

using namespace rechost;

TEST_CASE("every row of every table has one holder, and nobody has much more than another") {
  const std::vector<TableSize> tables{{"tiny", 3, 8}, {"large", 100000, 68}, {"middle", 20000, 68}, {"one", 1, 68}, {"other", 20000, 68}, {"small", 500, 132}};
  for (const int ranks : {1, 2, 3, 4, 7}) {
    const Placement placement(tables, ranks);
    std::int64_t total = 0;
    std::int64_t most = 0;
    for (int rank = 0; rank < ranks; ++rank) {
      total += placement.bytes(rank);
      most = std::max(most, placement.bytes(rank));
    }
    for (std::size_t t = 0; t < tables.size(); ++t) {
      std::int64_t next = 0;
      int holders = 0;
      for (int rank = 0; rank < ranks; ++rank) {
        const TableShard& shard = placement.shard(t, rank);
        REQUIRE(shard.places.first == next);
        next = shard.places.end();
        holders += shard.is_empty() ? 0 : 1;
      }
      CHECK(next == tables[t].rows);
      CHECK((holders > 1) == placement.is_split(t));
    }
    std::int64_t all = 0;
    for (const TableSize& table : tables) all += table.rows * table.bytes_per_row;
    CHECK(total == all);
    CHECK(most <= 2 * all / ranks);
    CHECK(placement.is_split(1) == (ranks > 1));
    CHECK_FALSE(placement.is_split(0));
  }
}

TEST_CASE("tables lie where they were told to") {
  const std::vector<TableSize> tables{{"tiny", 30, 8, Sharding::kRowWise}, {"large", 100000, 68, Sharding::kTableWise}, {"middle", 20000, 68, Sharding::kAuto, 2},
                                      {"one", 1, 68, Sharding::kRowWise}, {"other", 20000, 68}};
  const Placement placement(tables, 3);
  CHECK(placement.describe(0) == "rows over 3 ranks");
  CHECK(placement.shard(0, 1).places.first == 10);
  CHECK(placement.describe(1) == "rank 0");
  CHECK(placement.describe(2) == "rank 2");
  CHECK(placement.shard(3, 0).places.count + placement.shard(3, 1).places.count + placement.shard(3, 2).places.count == 1);
  CHECK(placement.describe(4) == "rank 1");
  const Placement alone(tables, 1);
  CHECK(alone.shard(2, 0).places.count == 20000);
  CHECK_FALSE(alone.is_split(0));
  CHECK_THROWS_WITH(Placement(tables, 2), Catch::Contains("tables.\"middle\".rank = 2: there are 2 ranks"));
  CHECK_THROWS_WITH(Placement({{"t", 10, 4, Sharding::kRowWise, 0}}, 2), Catch::Contains("leave one of the two out"));
}

TEST_CASE("hashed rows are spread evenly, frequent neighbours too, and each has one place") {
  for (const std::int64_t rows : {1, 2, 3, 10, 97, 1000, 4096, 100003, 1 << 20}) {
    const Placement placement({{"t", rows, 8, Sharding::kRowWiseHash}}, 4);
    const RowOrder& order = placement.order(0);
    std::vector<bool> taken(static_cast<std::size_t>(rows));
    std::vector<std::int64_t> frequent(4, 0);
    const std::int64_t head = std::min<std::int64_t>(rows, 400);
    for (std::int64_t row = 0; row < rows; ++row) {
      const std::int64_t place = order.place_of(row);
      REQUIRE((place >= 0 && place < rows));
      REQUIRE_FALSE(taken[static_cast<std::size_t>(place)]);
      taken[static_cast<std::size_t>(place)] = true;
      REQUIRE(order.row_at(place) == row);
      for (std::size_t rank = 0; rank < 4 && row < head; ++rank) {
        const RowRange& places = placement.shard(0, static_cast<int>(rank)).places;
        frequent[rank] += place >= places.first && place < places.end() ? 1 : 0;
      }
    }
    INFO(rows << " rows");
    if (rows >= 1000) CHECK(*std::max_element(frequent.begin(), frequent.end()) - *std::min_element(frequent.begin(), frequent.end()) <= 4);
  }
}

TEST_CASE("columns are cut where random numbers come together, and not where an optimizer needs whole rows") {
  TableSize table{"t", 10, 4 * 24, Sharding::kColumnWise, TableSize::kAnyRank, 24};
  table.columns_at_once = 4;
  const Placement placement({table}, 4);
  std::int64_t next = 0;
  std::int64_t bytes = 0;
  for (int rank = 0; rank < 4; ++rank) {
    const TableShard& shard = placement.shard(0, rank);
    CHECK(shard.places.count == 10);
    CHECK(shard.columns.first == next);
    CHECK(shard.columns.first % 4 == 0);
    next += shard.columns.count;
    bytes += placement.bytes(rank);
  }
  CHECK(next == 24);
  CHECK(bytes == 10 * 4 * 24);
  CHECK(placement.describe(0) == "columns over 4 ranks");
  table.whole_row_rule = "rowwise_adagrad";
  CHECK_THROWS_WITH(Placement({table}, 4), Catch::Contains("tables.\"t\".sharding = \"column_wise\": rowwise_adagrad needs all columns of a row in one place"));
}

TEST_CASE("copies lie on every rank, and each shows a part of the rows") {
  const Placement placement({{"t", 10, 8, Sharding::kDataParallel}}, 4);
  std::int64_t shown = 0;
  for (int rank = 0; rank < 4; ++rank) {
    CHECK(placement.bytes(rank) == 80);
    CHECK(placement.held_rows(0, rank).count == 10);
    CHECK(placement.shown_rows(0, rank).first == shown);
    shown += placement.shown_rows(0, rank).count;
  }
  CHECK(shown == 10);
  CHECK_THROWS_WITH(Placement({{"t", 10, 4, Sharding::kDataParallel, 0}}, 2), Catch::Contains("with sharding = \"data_parallel\" all ranks hold"));
}

TEST_CASE("a table lies on the ranks of one node, or its columns on all nodes") {
  // Ranks 0, 2 and 3 share a node, as a launcher that deals them out may have it.
  const RankLayout ranks({"a", "b", "a", "a", "b"});
  CHECK(ranks.node_count() == 2);
  CHECK(ranks.ranks_of(1) == std::vector<int>{1, 4});
  CHECK(ranks.fewest_ranks() == 2);
  TableSize on_node{"n", 10, 8, Sharding::kTableRowWise, 4, 2};
  TableSize grid{"g", 10, 8, Sharding::kGrid, TableSize::kAnyRank, 2};
  TableSize large = on_node;
  large.rank = TableSize::kAnyRank;
  large.rows = 1000;
  const Placement placement({on_node, grid, large}, ranks);
  const auto held = [&](std::size_t table, int rank) {
    const TableShard& shard = placement.shard(table, rank);
    return std::vector<std::int64_t>{shard.places.first, shard.places.count, shard.columns.first, shard.columns.count};
  };
  CHECK(held(0, 1) == std::vector<std::int64_t>{0, 5, 0, 2});
  CHECK(held(0, 4) == std::vector<std::int64_t>{5, 5, 0, 2});
  CHECK(placement.describe(0) == "rows over the ranks of node 1");
  for (const int rank : {0, 2, 3}) CHECK(placement.shard(0, rank).is_empty());
  // Column 0 on node 0, column 1 on node 1.
  CHECK(held(1, 1) == std::vector<std::int64_t>{0, 5, 1, 1});
  CHECK(held(1, 4) == std::vector<std::int64_t>{5, 5, 1, 1});
  std::int64_t next = 0;
  for (const int rank : {0, 2, 3}) {
    CHECK(placement.shard(1, rank).places.first == next);
    CHECK(placement.shard(1, rank).columns.first == 0);
    CHECK(placement.shard(1, rank).columns.count == 1);
    next = placement.shard(1, rank).places.end();
  }
  CHECK(next == 10);
  CHECK(placement.describe(1) == "columns over 2 nodes, rows over the ranks of each");
  // The node with fewer bytes so far.
  CHECK(placement.describe(2) == "rows over the ranks of node 0");
  std::int64_t bytes = 0;
  for (int rank = 0; rank < 5; ++rank) bytes += placement.bytes(rank);
  CHECK(bytes == (10 + 10 + 1000) * 8);

  grid.whole_row_rule = "rowwise_adagrad";
  CHECK_THROWS_WITH(Placement({grid}, ranks), Catch::Contains("tables.\"g\".sharding = \"grid\": rowwise_adagrad needs all columns"));
  CHECK(Placement({grid}, 3).describe(0) == "columns over 1 nodes, rows over the ranks of each");
  on_node.rank = 5;
  CHECK_THROWS_WITH(Placement({on_node}, ranks), Catch::Contains("tables.\"n\".rank = 5: there are 5 ranks"));
}
