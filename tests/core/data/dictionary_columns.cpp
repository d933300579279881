// Columns that come as entries of dictionaries are encoded as the same values are that come one by one.
#include <catch2/catch.hpp>

#include <map>
#include <string>
#include <vector>

#include "fixture.h"

namespace rechost {
namespace {

/// Every value of every table with how often it was counted, and -1 for tables whose rows have no values.
std::map<std::string, std::vector<std::pair<std::string, std::int64_t>>> tables_of(const PreparedData& prepared) {
  std::map<std::string, std::vector<std::pair<std::string, std::int64_t>>> tables;
  for (const Vocabulary& vocabulary : *prepared.vocabularies) {
    for (std::int64_t row = 0; row < vocabulary.rows(); ++row) {
      tables[vocabulary.name()].emplace_back(vocabulary.value_text(static_cast<std::int32_t>(row)), vocabulary.counts()[row]);
    }
  }
  return tables;
}

void require_equal(const DataFixture& fixture, const char* split, bool with_bad_rows) {
  const auto plain = mixed_source(300, 37);
  const auto dictionary = mixed_source(300, 37);
  dictionary->by_dictionary();
  for (const auto& each : {plain, dictionary}) {
    if (with_bad_rows) each->refuse(3, "user", "torn").refuse(40, "user", "torn");
  }
  const PreparedData expected = fixture.prepare(split, plain);
  const PreparedData found = fixture.prepare(split, dictionary);
  CHECK(tables_of(found) == tables_of(expected));
  for (const char* name : {"train", "valid", "test"}) {
    REQUIRE((found.split(name) == nullptr) == (expected.split(name) == nullptr));
    if (found.split(name) == nullptr) continue;
    CHECK(equal(all_rows(*found.split(name)), all_rows(*expected.split(name))));
  }
}

}  // namespace

TEST_CASE("dictionaries: each encoder, lists, missing values, splits and bad rows") {
  DataFixture fixture;
  fixture.data.bad_rows = "skip";
  fixture.data.bad_row_budget = 10;
  const auto everywhere = [&] {
    for (const bool bad : {false, true}) {
      fixture.data.split = {.valid = 0.0, .test = 0.0};
      require_equal(fixture, "train", bad);
      fixture.data.split = {.valid = 0.2, .test = 0.1, .by = "random"};
      require_equal(fixture, "all", bad);
    }
  };
  SECTION("vocabularies and identity") { everywhere(); }
  SECTION("one hash") {
    for (const char* name : {"user", "item", "city", "history"}) fixture.features[name] = {.encoder = "hash", .hash_rows = 50};
    everywhere();
  }
  SECTION("what is made of the values first") {
    fixture.features["item"] = {.encoder = "bucket", .buckets = 5};
    fixture.features["user_range"] = {.source = "user", .encoder = "bucket", .boundaries = {3.0, 20.0}};
    everywhere();
  }
  SECTION("several hashes, a bounded list, min_count") {
    fixture.features["user"] = {.encoder = "hash", .hash_rows = 50, .hashes = 3};
    fixture.features["city"] = {.encoder = "hash", .hash_rows = 50, .hashes = 2};
    fixture.features["history"].max_length = 2;
    fixture.features["item"].min_count = 3;
    everywhere();
  }
  SECTION("a shared table") {
    fixture.features["history"].table = "item";
    everywhere();
  }
}

}  // namespace rechost
