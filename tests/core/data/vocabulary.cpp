#include "data/vocabulary.h"

#include <fstream>
#include <random>
#include <set>
#include <unordered_map>

#include <catch2/catch.hpp>

#include "core/folder.h"
#include "fixture.h"

using namespace rechost;
using Catch::Matchers::Contains;

TEST_CASE("an index of integers numbers values by first insertion") {
  std::mt19937_64 random(3);
  IntegerIndex index;
  std::unordered_map<std::int64_t, std::int32_t> expected;
  std::vector<std::int64_t> values{0, -1, INT64_MIN, INT64_MAX, 1LL << 32, 2LL << 32, 3LL << 32};
  for (int i = 0; i < 50000; ++i) values.push_back(static_cast<std::int64_t>(random() % 20000) << (i % 3 * 20));
  std::vector<std::int32_t> numbers(values.size());
  index.insert_all(values, numbers.data());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto [place, is_new] = expected.try_emplace(values[i], static_cast<std::int32_t>(expected.size()));
    REQUIRE(numbers[i] == place->second);
    REQUIRE(index.value(numbers[i]) == values[i]);
  }
  CHECK(index.size() == static_cast<std::int64_t>(expected.size()));
  CHECK(index.find(-12345) == -1);
  std::vector<std::int32_t> found(values.size());
  index.find_all(values, found.data());
  CHECK(found == numbers);
  index.clear();
  CHECK(index.size() == 0);
  CHECK(index.find(0) == -1);
  CHECK(index.insert(5) == 0);
}

TEST_CASE("an index of strings keeps empty and long ones apart") {
  StringIndex index;
  CHECK(index.find("x") == -1);
  for (int i = 0; i < 5000; ++i) REQUIRE(index.insert("value " + std::to_string(i)) == i);
  CHECK(index.insert("") == 5000);
  CHECK(index.insert(std::string("a\0b", 3)) == 5001);
  CHECK(index.insert(std::string("a\0c", 3)) == 5002);
  CHECK(index.find("value 4999") == 4999);
  CHECK(index.value(5000).empty());
  CHECK(index.value(17) == "value 17");
}

TEST_CASE("rows go to the most frequent value first, then to the smallest") {
  DataFixture fixture;
  const auto data = source();
  data->ids("item", {7, 5, 5, 9, 5, 7, 3, std::nullopt, 9});
  const PreparedData prepared = fixture.prepare("train", data);
  const Vocabulary& item = prepared.vocabularies->at("item");
  CHECK(item.rows() == 6);
  CHECK(texts(*prepared.train, all_rows(*prepared.train), 0) ==
        std::vector<std::string>{"7", "5", "5", "9", "5", "7", "3", "<missing>", "9"});
  CHECK(item.row(std::int64_t{5}) == 2);
  CHECK(item.row(std::int64_t{7}) == 3);
  CHECK(item.row(std::int64_t{9}) == 4);
  CHECK(item.row(std::int64_t{3}) == 5);
  CHECK(item.row(std::int64_t{4}) == Vocabulary::kUnknownRow);
  CHECK(item.counts().all() == std::vector<std::int64_t>{0, 1, 3, 2, 2, 1});
  CHECK_FALSE(item.is_value_row(0));
  CHECK_FALSE(item.is_value_row(1));
  CHECK(item.is_value_row(2));
}

TEST_CASE("rare and surplus values are unknown") {
  DataFixture fixture;
  const auto data = source();
  data->ids("item", {1, 1, 1, 2, 2, 3, 4, 4});
  fixture.features["item"].min_count = 2;
  const PreparedData rare = fixture.prepare("train", data);
  CHECK(rare.vocabularies->at("item").rows() == 2 + 3);
  CHECK(rare.vocabularies->at("item").counts()[Vocabulary::kUnknownRow] == 1);
  CHECK(texts(*rare.train, all_rows(*rare.train), 0)[5] == "<unknown>");
  fixture.features["item"].max_rows = 2;
  const PreparedData few = fixture.prepare("train", data);
  CHECK(texts(*few.train, all_rows(*few.train), 0) ==
        std::vector<std::string>{"1", "1", "1", "2", "2", "<unknown>", "<unknown>", "<unknown>"});
}

TEST_CASE("vocabularies and rows do not depend on the number of threads") {
  const auto data = mixed_source(5000, 64);
  DataFixture fixture;
  fixture.features["history"].table = "item";
  const PreparedData one = fixture.prepare("train", data);
  for (const int threads : {2, 3, 4}) {
    fixture.threads = threads;
    const PreparedData several = fixture.prepare("train", data);
    CHECK(equal(all_rows(*one.train), all_rows(*several.train)));
    for (std::size_t table = 0; table < one.vocabularies->size(); ++table) {
      const Vocabulary& expected = (*one.vocabularies)[table];
      const Vocabulary& found = (*several.vocabularies)[table];
      REQUIRE(found.rows() == expected.rows());
      REQUIRE(expected.counts().all() == found.counts().all());
      for (std::int32_t row = 0; row < expected.rows(); ++row) REQUIRE(found.value_text(row) == expected.value_text(row));
    }
  }
}

TEST_CASE("values of validation rows alone are unknown") {
  DataFixture fixture;
  const auto train = source();
  train->ids("item", {1, 2, 2}).words("city", {"a", "b", "b"});
  const auto valid = source();
  valid->ids("item", {2, 3}).words("city", {"c", "a"});
  const PreparedData prepared = fixture.prepare({{"valid", valid}, {"train", train}});
  const Batch batch = all_rows(*prepared.valid);
  CHECK(texts(*prepared.valid, batch, 0) == std::vector<std::string>{"2", "<unknown>"});
  CHECK(texts(*prepared.valid, batch, 1) == std::vector<std::string>{"<unknown>", "a"});
  CHECK(prepared.vocabularies->at("item").rows() == 4);
}

TEST_CASE("features that share a table share rows and counts") {
  DataFixture fixture;
  fixture.features["history"].table = "item";
  const auto data = source();
  data->ids("item", {10, 20, 10}).lists("history", {{}, {10}, {30, 20}});
  const PreparedData prepared = fixture.prepare("train", data);
  CHECK(prepared.vocabularies->size() == 1);
  const Vocabulary& item = prepared.vocabularies->at("item");
  CHECK(item.rows() == 5);
  CHECK(item.counts()[item.row(std::int64_t{10})] == 3);
  CHECK(list_text(*prepared.train, all_rows(*prepared.train), 1) == "|10|30 20|");
}

TEST_CASE("features of one table that do not agree are refused by name") {
  DataFixture fixture;
  fixture.features["history"].table = "item";
  const auto data = source();
  data->ids("item", {1}).lists("history", {{1}});
  fixture.features["history"].encoder = "hash";
  fixture.features["history"].hash_rows = 10;
  CHECK_THROWS_WITH(fixture.prepare("train", data), Contains("\"item\" and \"history\" share table \"item\"") && Contains("vocabulary and hash"));
  fixture.features["history"] = {.min_count = 3, .table = "item"};
  fixture.features["item"].min_count = 2;
  CHECK_THROWS_WITH(fixture.prepare("train", data), Contains("min_count (2 and 3)"));
}

TEST_CASE("an identity id out of range names chunk, row, feature, value, bound and remedy") {
  DataFixture fixture;
  const auto data = source(2);
  data->ids("shop", {0, 4, 2, 5}, 5);
  CHECK_THROWS_AS(fixture.prepare("train", data), DataError);
  CHECK_THROWS_WITH(fixture.prepare("train", data),
                    Contains("train, chunk 1, row 1 (memory.tsv:4), column \"shop\": id 5 is not in [0, 5)") && Contains("features.shop.encoder = \"vocabulary\""));
}

TEST_CASE("an identity table has a row for missing values only when some can be missing") {
  DataFixture fixture;
  const auto complete = source();
  complete->ids("shop", {0, 4}, 5);
  CHECK(fixture.prepare("train", complete).vocabularies->at("shop").rows() == 5);
  const auto holes = source();
  holes->ids("shop", {0, std::nullopt}, 5);
  const PreparedData prepared = fixture.prepare("train", holes);
  CHECK(prepared.vocabularies->at("shop").rows() == 6);
  CHECK(all_rows(*prepared.train).sparse[0].ids == std::vector<std::int32_t>{0, 5});
  CHECK(prepared.vocabularies->at("shop").counts()[5] == 1);
}

TEST_CASE("hashed values stay in their rows, are spread, and differ from table to table") {
  DataFixture fixture;
  fixture.features["a"] = {.encoder = "hash", .hash_rows = 1000};
  fixture.features["b"] = {.encoder = "hash", .hash_rows = 1000};
  MemorySource::Values<std::int64_t> values;
  for (std::int64_t i = 0; i < 2000; ++i) values.push_back(i);
  values.push_back(std::nullopt);
  const auto data = source(100);
  data->ids("a", values).ids("b", values);
  const PreparedData prepared = fixture.prepare("train", data);
  const Batch batch = all_rows(*prepared.train);
  CHECK(prepared.vocabularies->at("a").rows() == 1001);
  CHECK(batch.sparse[0].ids.back() == 1000);
  CHECK(batch.sparse[0].ids != batch.sparse[1].ids);
  const std::set<std::int32_t> rows(batch.sparse[0].ids.begin(), batch.sparse[0].ids.end());
  CHECK(rows.size() > 820);  // 1000 * (1 - e^-2) = 865 expected
  CHECK(*rows.rbegin() == 1000);
}

TEST_CASE("vocabularies are the same after saving and loading") {
  const auto data = mixed_source(500, 64);
  DataFixture fixture;
  fixture.features["city"].table = "town/place";
  fixture.features["item"] = {.encoder = "hash", .hash_rows = 50};
  const auto strange = source();
  const PreparedData prepared = fixture.prepare("train", data);
  const test::Folder folder;
  const std::vector<std::string> files = prepared.vocabularies->save(folder.path() / "vocabulary");
  CHECK(files.size() == 2 * prepared.vocabularies->size());
  for (const std::string& file : files) CHECK(std::filesystem::exists(folder.path() / "vocabulary" / file));
  const auto loaded = std::make_shared<Vocabularies>(Vocabularies::load(folder.path() / "vocabulary"));
  REQUIRE(loaded->size() == prepared.vocabularies->size());
  for (const Vocabulary& expected : *prepared.vocabularies) {
    const Vocabulary& found = loaded->at(expected.name());
    REQUIRE(found.rows() == expected.rows());
    CHECK(found.missing_row() == expected.missing_row());
    CHECK(expected.counts().all() == found.counts().all());
    for (std::int32_t row = 0; row < expected.rows(); ++row) REQUIRE(found.value_text(row) == expected.value_text(row));
  }
  fixture.vocabularies = loaded;
  CHECK(equal(all_rows(*fixture.prepare("train", data).train), all_rows(*prepared.train)));
}

TEST_CASE("values with tabs, line ends and backslashes survive saving") {
  DataFixture fixture;
  const auto data = source();
  data->words("word", {"a\tb", "c\nd\r", "\\n", "", "<unknown>", "plain"});
  const PreparedData prepared = fixture.prepare("train", data);
  const test::Folder folder;
  prepared.vocabularies->save(folder.path());
  const Vocabularies loaded = Vocabularies::load(folder.path());
  const Vocabulary& word = loaded.at("word");
  for (const char* const value : {"a\tb", "c\nd\r", "\\n", "", "<unknown>", "plain"}) {
    const std::int32_t row = word.row(std::string_view(value));
    REQUIRE(row >= Vocabulary::kFirstValueRow);
    CHECK(word.value_text(row) == value);
  }
}

TEST_CASE("a damaged vocabulary file is named with its line") {
  DataFixture fixture;
  const auto data = source();
  data->ids("item", {7, 8, 9});
  const test::Folder folder;
  fixture.prepare("train", data).vocabularies->save(folder.path());
  const std::filesystem::path file = folder.path() / "item.tsv";
  const auto write = [&](const std::string& text) { std::ofstream(file, std::ios::trunc) << text; };
  write("0\t\n0\t\n1\t7\n1\tx\n1\t9\n");
  CHECK_THROWS_WITH(Vocabularies::load(folder.path()), Contains("item.tsv:4") && Contains("\"x\""));
  write("0\t\n0\t\n1\t7\n1\t8\n");
  CHECK_THROWS_WITH(Vocabularies::load(folder.path()), Contains("has 4 lines") && Contains("announces 5 rows"));
  write("0\t\n0\t\n1\t7\n1\t8\n1\t9");
  CHECK_THROWS_WITH(Vocabularies::load(folder.path()), Contains("item.tsv:5") && Contains("cut off"));
  write("0\t\n0\t\n1\t7\n1\t7\n1\t9\n");
  CHECK_THROWS_WITH(Vocabularies::load(folder.path()), Contains("item.tsv:4") && Contains("was there before"));
  CHECK_THROWS_WITH(Vocabularies::load(folder.path() / "nowhere"), Contains("nowhere"));
}
