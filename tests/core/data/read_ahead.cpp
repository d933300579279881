#include <set>

#include <catch2/catch.hpp>

#include "data/combined_source.h"
#include "data/pipeline.h"
#include "fixture.h"

using namespace rechost;

namespace {

/// 40 chunks of 10 rows, none of which stays in memory.
struct Afar {
  Afar() : data(mixed_source(400, 10)) {
    fixture.data.shuffle = "none";
    fixture.data.memory_gib = 1e-9;
  }
  DataFixture fixture;
  std::shared_ptr<MemorySource> data;
};

void run(const Dataset& dataset, const SampleOrder& order, BatchPipeline::Settings settings) {
  BatchPipeline pipeline(dataset, order, settings);
  Batch batch;
  while (pipeline.next(batch)) {
  }
}

}  // namespace

TEST_CASE("data from afar hears of every chunk before it is read, in any order of samples") {
  for (const Shuffle shuffle : {Shuffle::kNone, Shuffle::kChunk, Shuffle::kBuffer, Shuffle::kFull, Shuffle::kMosaic}) {
    SampleOrder::Settings settings{.shuffle = shuffle, .seed = 9, .batch_size = 16, .window_samples = 40, .window_chunks = 3};
    settings.mosaic.shuffle_algo = "py1s";
    for (const std::int64_t first : {0, 7}) {
      Afar afar;
      afar.data->from_afar();
      const PreparedData prepared = afar.fixture.prepare("train", afar.data);
      REQUIRE_FALSE(prepared.train->resident());
      const SampleOrder order(settings, prepared.train->streams());
      afar.data->forget_told();
      run(*prepared.train, order, {.first_step = first, .end_step = 2 * order.steps_per_epoch(), .prefetch = 2, .threads = 1});
      INFO("shuffle " << static_cast<int>(shuffle) << " from step " << first);
      CHECK(afar.data->surprises().empty());
      REQUIRE(afar.data->told().size() > 2);
      CHECK(afar.data->told().back().empty());  // and nothing comes after the end
    }
  }
}

TEST_CASE("the next chunks are told in the order in which they are needed, as far as is useful") {
  Afar afar;
  afar.data->from_afar();
  const PreparedData prepared = afar.fixture.prepare("train", afar.data);
  afar.data->forget_told();
  const SampleOrder order({.shuffle = Shuffle::kNone, .seed = 9, .batch_size = 20}, prepared.train->streams());
  run(*prepared.train, order, {.end_step = order.steps_per_epoch(), .prefetch = 1, .threads = 1});
  // Eight steps of two chunks each are looked at with the first one; with the next, eight more, less what is in memory already.
  const auto& told = afar.data->told();
  REQUIRE(told.size() > 2);
  CHECK(told[0] == std::vector<std::int64_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15});
  CHECK(told[1].front() == 2);
  CHECK(told[1].back() == 31);
  for (const auto& list : told) CHECK(std::set<std::int64_t>(list.begin(), list.end()).size() == list.size());
}

TEST_CASE("a rank hears of the chunks of its own slices alone") {
  Afar afar;
  afar.data->from_afar();
  const PreparedData prepared = afar.fixture.prepare("train", afar.data);
  afar.data->forget_told();
  const SampleOrder order({.shuffle = Shuffle::kNone, .seed = 9, .batch_size = 40}, prepared.train->streams());
  // The last two of four slices of each batch: rows 20 to 39 of 40, every second batch.
  run(*prepared.train, order, {.slices = 4, .first_slice = 3, .first_step = 1, .end_step = 10, .stride = 2, .prefetch = 1, .threads = 1});
  std::set<std::int64_t> heard;
  for (const auto& list : afar.data->told()) heard.insert(list.begin(), list.end());
  CHECK(heard == std::set<std::int64_t>{7, 15, 23, 31, 39});
  CHECK(afar.data->surprises().empty());
}

TEST_CASE("local data, and data in memory, hear nothing") {
  Afar near;
  const PreparedData streamed = near.fixture.prepare("train", near.data);
  run(*streamed.train, SampleOrder({Shuffle::kChunk, 9, 16}, streamed.train->streams()), {.end_step = 20});
  CHECK(near.data->told().empty());

  Afar resident;
  resident.data->from_afar();
  resident.fixture.data.memory_gib = 1.0;
  const PreparedData kept = resident.fixture.prepare("train", resident.data);
  REQUIRE(kept.train->resident());
  resident.data->forget_told();
  run(*kept.train, SampleOrder({Shuffle::kFull, 9, 16}, kept.train->streams()), {.end_step = 20});
  CHECK(resident.data->told().empty());
}

TEST_CASE("who reads chunks one after the other says so, whatever the number of threads") {
  for (const int threads : {1, 3}) {
    Afar afar;
    afar.data->from_afar();
    afar.fixture.threads = threads;
    const PreparedData prepared = afar.fixture.prepare("train", afar.data);
    const auto& told = afar.data->told();
    REQUIRE(told.size() > 2);
    std::int64_t next = 0;
    for (std::size_t i = 0; i + 1 < told.size(); ++i) {
      if (told[i].empty()) continue;
      CHECK(told[i].front() > next);  // a later list begins later
      next = told[i].front();
      CHECK(told[i].back() == 39);
    }
    CHECK(told.back().empty());
    CHECK(next >= 37);  // whoever begins the last chunk first says that nothing comes
  }
}

TEST_CASE("of several sources each hears of its own chunks") {
  auto first = mixed_source(30, 10), second = mixed_source(30, 10);
  second->from_afar();
  CombinedSource both({{"first", first}, {"second", second}});
  CHECK(both.remote());
  both.read_ahead(std::vector<std::int64_t>{4, 1, 3, 2});
  CHECK(first->told() == std::vector<std::vector<std::int64_t>>{{1, 2}});
  CHECK(second->told() == std::vector<std::vector<std::int64_t>>{{1, 0}});
  both.read_ahead({});
  CHECK(first->told().back().empty());
  CHECK(second->told().back().empty());
  CHECK_FALSE(CombinedSource({{"first", first}}).remote());
}
