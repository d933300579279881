#include "data/order.h"

#include <algorithm>
#include <numeric>
#include <set>

#include <catch2/catch.hpp>

#include "base/error.h"

using namespace rechost;

namespace {

std::vector<std::int64_t> epoch_samples(const SampleOrder& order, std::int64_t epoch, int world_size = 1) {
  std::vector<std::int64_t> all;
  std::vector<std::int64_t> part;
  for (std::int64_t step = 0; step < order.steps_per_epoch(); ++step) {
    for (int rank = 0; rank < world_size; ++rank) {
      order.batch(epoch, step, {rank, world_size}, part);
      all.insert(all.end(), part.begin(), part.end());
    }
  }
  return all;
}

std::vector<std::int64_t> counted(std::int64_t count) {
  std::vector<std::int64_t> numbers(static_cast<std::size_t>(count));
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

std::vector<std::int64_t> sorted(std::vector<std::int64_t> values) {
  std::sort(values.begin(), values.end());
  return values;
}

}  // namespace

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

TEST_CASE("every epoch has every sample once") {
  for (const Shuffle shuffle : {Shuffle::kFull, Shuffle::kChunk, Shuffle::kNone}) {
    const SampleOrder order({shuffle, 5, 64}, {100, 0, 7, 250, 1, 33, 90, 90, 90, 12, 40, 3, 0});
    REQUIRE(order.samples() == 716);
    REQUIRE(order.steps_per_epoch() == 12);
    REQUIRE(order.batch_rows(11) == 716 - 11 * 64);
    for (std::int64_t epoch = 0; epoch < 3; ++epoch) REQUIRE(sorted(epoch_samples(order, epoch)) == counted(716));
  }
}

TEST_CASE("the order of global batches does not depend on the number of ranks") {
  for (const Shuffle shuffle : {Shuffle::kFull, Shuffle::kChunk, Shuffle::kNone}) {
    const SampleOrder order({shuffle, 5, 50}, {100, 30, 77, 250});
    for (const int world_size : {2, 3, 7, 64}) REQUIRE(epoch_samples(order, 1, world_size) == epoch_samples(order, 1));
  }
}

TEST_CASE("shares of a batch differ by at most one row") {
  for (const std::int64_t rows : {0, 1, 5, 64, 65}) {
    for (const int world_size : {1, 2, 3, 7}) {
      std::int64_t next = 0;
      for (int rank = 0; rank < world_size; ++rank) {
        const PositionRange part = share_of(rows, {rank, world_size});
        CHECK(part.begin == next);
        CHECK(part.end - part.begin >= rows / world_size);
        CHECK(part.end - part.begin <= rows / world_size + 1);
        next = part.end;
      }
      CHECK(next == rows);
    }
  }
}

TEST_CASE("epochs and seeds differ, the same again is the same") {
  for (const Shuffle shuffle : {Shuffle::kFull, Shuffle::kChunk}) {
    const std::vector<std::int64_t> chunks(20, 50);
    const SampleOrder order({shuffle, 5, 64}, chunks);
    const std::vector<std::int64_t> first = epoch_samples(order, 0);
    CHECK(first != counted(1000));
    CHECK(epoch_samples(order, 1) != first);
    CHECK(epoch_samples(order, 0) == first);
    CHECK(epoch_samples(SampleOrder({shuffle, 5, 64}, chunks), 0) == first);
    CHECK(epoch_samples(SampleOrder({shuffle, 6, 64}, chunks), 0) != first);
  }
}

TEST_CASE("shuffle \"chunk\" reads few chunks at a time and mixes them") {
  const SampleOrder order({Shuffle::kChunk, 5, 100}, std::vector<std::int64_t>(40, 100));
  std::vector<std::int64_t> samples;
  for (std::int64_t window = 0; window < 5; ++window) {
    std::set<std::int64_t> chunks;
    for (std::int64_t step = window * kShuffleWindowChunks; step < (window + 1) * kShuffleWindowChunks; ++step) {
      order.batch(0, step, {}, samples);
      std::set<std::int64_t> of_batch;
      for (const std::int64_t sample : samples) of_batch.insert(sample / 100);
      CHECK(of_batch.size() > 4);
      chunks.insert(of_batch.begin(), of_batch.end());
    }
    CHECK(chunks.size() == static_cast<std::size_t>(kShuffleWindowChunks));
  }
}

TEST_CASE("an empty split has no steps") {
  const SampleOrder order({Shuffle::kFull, 1, 10}, {});
  CHECK(order.samples() == 0);
  CHECK(order.steps_per_epoch() == 0);
}

TEST_CASE("an unknown shuffle is refused") { CHECK_THROWS_AS(parse_shuffle("buffer"), ConfigError); }
