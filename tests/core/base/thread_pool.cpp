#include "base/thread_pool.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <set>

#include "base/error.h"

using namespace rechost;

TEST_CASE("each index of a loop runs once") {
  for (const int size : {0, 1, 2, 5}) {
    ThreadPool pool(size);
    REQUIRE(pool.size() == std::max(size, 1));
    for (const std::int64_t count : {0, 1, 2, 1000}) {
      std::vector<std::atomic<int>> runs(static_cast<std::size_t>(count));
      pool.parallel_for(count, [&](std::int64_t index) { ++runs[static_cast<std::size_t>(index)]; });
      for (const std::atomic<int>& run : runs) REQUIRE(run == 1);
    }
  }
}

TEST_CASE("a loop is done when parallel_for returns") {
  ThreadPool pool(3);
  for (int round = 0; round < 500; ++round) {
    std::int64_t sums[4] = {};
    pool.parallel_for(4, [&](std::int64_t index) { sums[index] = index + round; });
    for (std::int64_t index = 0; index < 4; ++index) REQUIRE(sums[index] == index + round);
  }
}

TEST_CASE("the first exception of a body comes out of the loop, and the pool goes on") {
  ThreadPool pool(3);
  const auto failing = [](std::int64_t index) {
    if (index == 7) fail<DataError>("index {}", index);
  };
  REQUIRE_THROWS_WITH(pool.parallel_for(100, failing), "index 7");
  REQUIRE_THROWS_AS(pool.parallel_for(100, failing), DataError);
  std::atomic<int> runs = 0;
  pool.parallel_for(100, [&](std::int64_t) { ++runs; });
  REQUIRE(runs == 100);
}
