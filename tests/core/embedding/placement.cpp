#include "embedding/placement.h"

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
        const RowRange range = placement.range(t, rank);
        REQUIRE(range.first == next);
        next = range.end();
        holders += range.count > 0 ? 1 : 0;
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
  CHECK(placement.range(0, 1).first == 10);
  CHECK(placement.describe(1) == "rank 0");
  CHECK(placement.describe(2) == "rank 2");
  CHECK(placement.range(3, 0).count + placement.range(3, 1).count + placement.range(3, 2).count == 1);
  CHECK(placement.describe(4) == "rank 1");
  const Placement alone(tables, 1);
  CHECK(alone.range(2, 0).count == 20000);
  CHECK_FALSE(alone.is_split(0));
  CHECK_THROWS_WITH(Placement(tables, 2), Catch::Contains("tables.\"middle\".rank = 2: there are 2 ranks"));
  CHECK_THROWS_WITH(Placement({{"t", 10, 4, Sharding::kRowWise, 0}}, 2), Catch::Contains("leave one of the two out"));
}
