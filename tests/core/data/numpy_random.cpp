#include "data/numpy_random.h"

#include <numeric>

#include <catch2/catch.hpp>

using namespace rechost;

namespace {

std::vector<std::int64_t> shuffled(std::uint64_t seed, std::int64_t count) {
  NumpyGenerator generator(seed);
  std::vector<std::int64_t> values(static_cast<std::size_t>(count));
  std::iota(values.begin(), values.end(), 0);
  generator.shuffle(std::span(values));
  return values;
}

}  // namespace

// Expected values: numpy.random.default_rng of NumPy 2.3.5.
TEST_CASE("words are those of NumPy's PCG64, for seeds of one and two words") {
  NumpyGenerator generator(9176);
  for (const std::uint64_t word : {0xce488e5ff4c10304ull, 0x233a25e3fe3960b0ull, 0xbc04ca4c34b5a59cull, 0xda9d124407196cafull}) CHECK(generator.word64() == word);
  CHECK(NumpyGenerator(0).word64() == 0xa30febcfd9c2825full);
  NumpyGenerator two_words((std::uint64_t{1} << 32) + 5);
  CHECK(two_words.word64() == 0xc6323ec321deb8d1ull);
  CHECK(two_words.word64() == 0x78814821c73a0583ull);
}

TEST_CASE("half a word waits, also while whole words are drawn") {
  NumpyGenerator generator(7);
  for (const std::int64_t expected : {4058335883, 2684764585, 2938530453}) CHECK(generator.integer(0, std::int64_t{1} << 32) == expected);
  CHECK(generator.real() == 0.7756856902451935);
  CHECK(generator.integer(0, std::int64_t{1} << 32) == 3853503932);
}

TEST_CASE("shuffle, integers and uniform") {
  CHECK(shuffled(9176, 12) == std::vector<std::int64_t>{2, 5, 10, 9, 8, 1, 6, 7, 11, 3, 0, 4});
  NumpyGenerator integers(11);
  for (const std::int64_t expected : {15, 15, 80, 51, 60, 61, 72, 5}) CHECK(integers.integer(3, 100) == expected);
  CHECK(integers.integer(0, std::int64_t{1} << 40) == 162646450044);
  CHECK(integers.integer(0, std::int64_t{1} << 40) == 1020578812774);
  CHECK(integers.integer(5, 6) == 5);
  NumpyGenerator reals(11);
  for (const double expected : {-0x1.3f16b9e2b2086p+0, 0x1.2f194924a2c1ap+1, 0x1.aeab81dd205c6p+1}) CHECK(reals.uniform(-2.5, 7.25 + 2.5) == expected);
}

TEST_CASE("choice without replacement, in both of NumPy's ways, and what is drawn after it") {
  struct Case {
    std::uint32_t count;
    std::uint32_t chosen;
    std::vector<std::uint32_t> first;
    std::int64_t sum;
    std::int64_t next;
  };
  for (const Case& each : {Case{10, 4, {9, 7, 8, 6}, 30, 261}, Case{10, 10, {6, 1, 2, 9, 5, 3}, 45, 132}, Case{1, 1, {0}, 0, 895}, Case{5, 0, {}, 0, 895},
                           Case{20000, 6, {16392, 1390, 17104, 17914, 17292, 16220}, 86312, 946}, Case{20000, 500, {10063, 10039, 2557, 3603, 13579, 18118}, 5182120, 826}}) {
    CAPTURE(each.count, each.chosen);
    NumpyGenerator generator(13);
    const std::vector<std::uint32_t> drawn = generator.choice(each.count, each.chosen);
    REQUIRE(drawn.size() == each.chosen);
    CHECK(std::vector<std::uint32_t>(drawn.begin(), drawn.begin() + static_cast<std::ptrdiff_t>(each.first.size())) == each.first);
    CHECK(std::accumulate(drawn.begin(), drawn.end(), std::int64_t{0}) == each.sum);
    CHECK(generator.integer(0, 1000) == each.next);
  }
}
