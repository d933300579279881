#include "data/permutation.h"

#include <cmath>
#include <set>
#include <vector>

#include <catch2/catch.hpp>

using namespace rechost;

TEST_CASE("a permutation maps [0, size) onto itself") {
  for (const std::uint64_t size : {1ull, 2ull, 3ull, 4ull, 5ull, 7ull, 8ull, 63ull, 64ull, 65ull, 1000ull, 65537ull, (1ull << 20) + 1}) {
    for (const std::uint64_t key : {0ull, 1ull, 0xfeedull}) {
      const Permutation permutation(size, key);
      std::vector<bool> hit(size, false);
      for (std::uint64_t i = 0; i < size; ++i) {
        const std::uint64_t value = permutation(i);
        REQUIRE(value < size);
        REQUIRE_FALSE(hit[value]);
        hit[value] = true;
      }
    }
  }
}

TEST_CASE("a permutation of more than 2^32 values stays inside and repeats nothing it can be seen to") {
  const Permutation permutation((1ull << 40) + 12345, 3);
  std::set<std::uint64_t> seen;
  for (std::uint64_t i = 0; i < 20000; ++i) {
    const std::uint64_t value = permutation(i * 50000017);
    REQUIRE(value < permutation.size());
    REQUIRE(seen.insert(value).second);
  }
}

TEST_CASE("a permutation spreads neighbours") {
  const std::uint64_t size = 100000;
  const Permutation permutation(size, 11);
  double distance = 0.0;
  std::int64_t rising = 0;
  for (std::uint64_t i = 0; i + 1 < size; ++i) {
    const auto here = static_cast<double>(permutation(i));
    const auto there = static_cast<double>(permutation(i + 1));
    distance += std::abs(here - there);
    rising += there > here;
  }
  // Independent uniform places are a third of the range apart on average and rise half of the time.
  CHECK(distance / static_cast<double>(size) == Approx(static_cast<double>(size) / 3).epsilon(0.02));
  CHECK(static_cast<double>(rising) / static_cast<double>(size) == Approx(0.5).epsilon(0.02));
}

TEST_CASE("many values of a permutation at once are those one by one") {
  for (const std::uint64_t size : {1ull, 2ull, 1000ull, (1ull << 33) + 7}) {
    const Permutation permutation(size, 5);
    for (const std::uint64_t first : {std::uint64_t{0}, size / 2}) {
      const auto count = static_cast<std::int64_t>(std::min<std::uint64_t>(size - first, 333));
      std::vector<std::int64_t> values(static_cast<std::size_t>(count));
      permutation.fill(first, count, values.data());
      for (std::int64_t i = 0; i < count; ++i) {
        REQUIRE(static_cast<std::uint64_t>(values[static_cast<std::size_t>(i)]) == permutation(first + static_cast<std::uint64_t>(i)));
      }
    }
  }
}
