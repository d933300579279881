#include "data/drift.h"

#include <catch2/catch.hpp>

#include "base/error.h"
#include "fixture.h"

using namespace rechost;
using Catch::Matchers::Contains;

namespace {

MemorySource::Values<std::int64_t> ids(std::int64_t rows, std::int64_t first, std::int64_t different) {
  MemorySource::Values<std::int64_t> values;
  for (std::int64_t row = 0; row < rows; ++row) values.push_back(first + row % different);
  return values;
}

MemorySource::Values<float> numbers(std::int64_t rows) { return MemorySource::Values<float>(static_cast<std::size_t>(rows), 1.0F); }

/// A model was trained on 400 rows with items 0 to 19.
class TrainedFixture : public DataFixture {
 public:
  TrainedFixture() {
    const auto data = source(64);
    data->dense("price", numbers(400)).ids("item", ids(400, 0, 20)).ids("user", ids(400, 0, 8), 8);
    const PreparedData trained = prepare("train", data);
    CHECK_FALSE(trained.drift.found());
    vocabularies = trained.vocabularies;
    profile = DataProfile::from_json(Json::parse(json_line(trained.profile.to_json())));
    CHECK(profile.to_json() == trained.profile.to_json());
    CHECK(profile.columns.size() == 3);
    CHECK(profile.unseen_share == std::map<std::string, double>{{"item", 0.0}});
  }
};

}  // namespace

TEST_CASE("the same data drift nowhere") {
  TrainedFixture fixture;
  const auto data = source(64);
  data->dense("price", numbers(400)).ids("item", ids(400, 0, 20)).ids("user", ids(400, 0, 8), 8);
  fixture.data.drift.action = "fail";
  CHECK_FALSE(fixture.prepare("train", data).drift.found());
}

TEST_CASE("a new column is named and left out; the model sees the features that it was trained with, in their order") {
  TrainedFixture fixture;
  const auto data = source(64);
  data->words("colour", {{"red"}, {"blue"}}).ids("user", {1, 2}, 8).dense("height", {1, 2}).ids("item", {3, 4}).dense("price", {5, 6});
  const PreparedData prepared = fixture.prepare("train", data);
  REQUIRE(prepared.drift.changes.size() == 2);
  CHECK_THAT(prepared.drift.changes[0], Contains("train: column \"colour\" (string) is new"));
  CHECK_THAT(prepared.drift.changes[1], Contains("\"height\" (float32) is new"));
  CHECK(prepared.plan->schema.dense.size() == 1);
  CHECK(prepared.plan->schema.sparse[0].name == "item");
  const Batch batch = all_rows(*prepared.train);
  CHECK(batch.dense == std::vector<float>{5, 6});
  CHECK(texts(*prepared.train, batch, 0) == std::vector<std::string>{"3", "4"});
  CHECK(prepared.profile.to_json() == fixture.profile.to_json());  // what the next checkpoint says of training
  fixture.data.drift.action = "fail";
  CHECK_THROWS_WITH(fixture.prepare("train", data), Contains("data.drift.action = \"fail\"") && Contains("\"colour\"") && Contains("\"height\""));
}

TEST_CASE("a missing column is refused") {
  TrainedFixture fixture;
  const auto data = source();
  data->dense("price", {1}).ids("items", {1}).ids("user", {1}, 8);
  CHECK_THROWS_WITH(fixture.prepare("train", data), Contains("column \"item\" is missing") && Contains("did you mean \"items\"?"));
}

TEST_CASE("columns that a feature can no longer be made of are refused, others are named") {
  TrainedFixture fixture;
  const auto text = source();
  text->words("price", {{"1"}}).as(ColumnRole::kDense).ids("item", {1}).ids("user", {1}, 8);
  CHECK_THROWS_WITH(fixture.prepare("train", text), Contains("column \"price\" holds string, but float32 in the data that the model was trained on"));
  const auto words = source();
  words->dense("price", {1}).words("item", {{"1"}}).ids("user", {1}, 8);
  CHECK_THROWS_WITH(fixture.prepare("train", words), Contains("\"item\" holds string, but int64"));
  const auto fractions = source();
  fractions->dense("price", {1}).dense("item", {1.5F}).ids("user", {1}, 8);
  CHECK_THROWS_WITH(fixture.prepare("train", fractions), Contains("\"item\" holds float32, but int64"));
  const auto list = source();
  list->dense("price", {1}).lists("item", {{1, 2}}).ids("user", {1}, 8);
  CHECK_THROWS_WITH(fixture.prepare("train", list), Contains("\"item\" holds lists of int64, but int64"));

  // Whole numbers do for a dense feature, and ids may announce another bound: those beyond the table are bad rows.
  const auto other = source();
  other->ids("price", {7, 8}).as(ColumnRole::kDense).ids("item", {1, 2}).ids("user", {1, 9}, 10);
  fixture.data.bad_rows = "skip";
  const PreparedData prepared = fixture.prepare("train", other);
  REQUIRE(prepared.drift.changes.size() == 2);
  CHECK_THAT(prepared.drift.changes[0], Contains("\"price\" holds int64, in training it held float32"));
  CHECK_THAT(prepared.drift.changes[1], Contains("\"user\" announces ids below 10, in training ids below 8"));
  CHECK(prepared.bad_rows == 1);
  CHECK(all_rows(*prepared.train).dense == std::vector<float>{7});
}

TEST_CASE("values that the vocabulary does not know are counted, and too many are named") {
  TrainedFixture fixture;
  // 0 to 39, half of them known.
  const auto data = source(64);
  data->dense("price", numbers(400)).ids("item", ids(400, 0, 40)).ids("user", ids(400, 0, 8), 8);
  for (const int threads : {1, 3}) {
    fixture.threads = threads;
    const PreparedData prepared = fixture.prepare("train", data);
    CHECK(prepared.drift.unseen_share == std::map<std::string, double>{{"item", 0.5}});
    CHECK(prepared.drift.largest_unseen_share() == 0.5);
    CHECK_THAT(describe(prepared.drift, fixture.data.drift).at(0), Contains("50.0% of the values of feature \"item\" were not seen in training"));
  }
  fixture.data.drift.unseen_share = 0.5;
  CHECK_FALSE(fixture.prepare("train", data).drift.found());
  fixture.data.drift = {.action = "fail", .unseen_share = 0.4};
  CHECK_THROWS_WITH(fixture.prepare("train", data), Contains("feature \"item\"") && Contains("data.drift.unseen_share = 0.4"));
  // What training itself had is no drift; a few values are no share.
  fixture.profile.unseen_share["item"] = 0.2;
  CHECK_FALSE(fixture.prepare("train", data).drift.found());
  fixture.profile.unseen_share.clear();
  const auto few = source();
  few->dense("price", {1, 1}).ids("item", {77, 78}).ids("user", {1, 2}, 8);
  CHECK_FALSE(fixture.prepare("train", few).drift.found());
}

TEST_CASE("the profile knows what training left unknown: rare values, and those of the other splits") {
  DataFixture fixture;
  fixture.features["item"].min_count = 2;
  const auto train = source(64);
  MemorySource::Values<std::int64_t> items = ids(300, 0, 10);
  for (std::int64_t row = 0; row < 100; ++row) items.push_back(1000 + row);
  train->ids("item", items).lists("seen", std::vector<std::vector<std::int64_t>>(400, {1, 2}));
  const auto valid = source(64);
  valid->ids("item", ids(200, 9, 2)).lists("seen", std::vector<std::vector<std::int64_t>>(200, {1, 2, 3, 4}));
  const DataProfile profile = fixture.prepare({{"train", train}, {"valid", valid}}).profile;
  CHECK(profile.unseen_share == std::map<std::string, double>{{"item", 0.5}, {"seen", 0.5}});
}
