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
