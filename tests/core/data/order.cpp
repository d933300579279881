#include "data/order.h"

#include <algorithm>
#include <numeric>
#include <set>

#include <catch2/catch.hpp>

#include "base/error.h"

using namespace rechost;

namespace {

constexpr std::int64_t kWindowChunks = 8;

std::vector<std::int64_t> epoch_samples(const SampleOrder& order, std::int64_t epoch, int world_size = 1) {
  std::vector<std::int64_t> all;
  std::vector<std::int64_t> part;
  for (std::int64_t step = 0; step < order.steps_per_epoch(); ++step) {
    for (int rank = 0; rank < world_size; ++rank) {
      order.batch({epoch, step}, {rank, world_size}, part);
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

TEST_CASE("every epoch has every sample once") {
  for (const Shuffle shuffle : {Shuffle::kFull, Shuffle::kChunk, Shuffle::kNone}) {
    const SampleOrder order({shuffle, 5, 64}, std::vector<std::int64_t>{100, 0, 7, 250, 1, 33, 90, 90, 90, 12, 40, 3, 0});
    REQUIRE(order.samples() == 716);
    REQUIRE(order.steps_per_epoch() == 12);
    REQUIRE(order.batch_rows({0, 11}) == 716 - 11 * 64);
    for (std::int64_t epoch = 0; epoch < 3; ++epoch) REQUIRE(sorted(epoch_samples(order, epoch)) == counted(716));
  }
}

TEST_CASE("the order of global batches does not depend on the number of ranks") {
  for (const Shuffle shuffle : {Shuffle::kFull, Shuffle::kChunk, Shuffle::kNone}) {
    const SampleOrder order({shuffle, 5, 50}, std::vector<std::int64_t>{100, 30, 77, 250});
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
    for (std::int64_t step = window * kWindowChunks; step < (window + 1) * kWindowChunks; ++step) {
      order.batch({0, step}, {}, samples);
      std::set<std::int64_t> of_batch;
      for (const std::int64_t sample : samples) of_batch.insert(sample / 100);
      CHECK(of_batch.size() > 4);
      chunks.insert(of_batch.begin(), of_batch.end());
    }
    CHECK(chunks.size() == static_cast<std::size_t>(kWindowChunks));
  }
}

TEST_CASE("an empty split has no steps") {
  const SampleOrder order({Shuffle::kFull, 1, 10}, std::vector<std::int64_t>{});
  CHECK(order.samples() == 0);
  CHECK(order.steps_per_epoch() == 0);
}

TEST_CASE("an unknown shuffle is refused") { CHECK_THROWS_AS(parse_shuffle("some"), ConfigError); }
