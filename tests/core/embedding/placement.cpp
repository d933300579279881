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
