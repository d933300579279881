#include "data/prepare.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <set>
#include <sstream>

#include <catch2/catch.hpp>

#include "base/error.h"
#include "core/folder.h"
#include "fixture.h"

using namespace rechost;
using Catch::Matchers::Contains;

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::shared_ptr<MemorySource> numbered(std::int64_t rows, std::int64_t rows_per_chunk) {
  MemorySource::Values<std::int64_t> ids;
  for (std::int64_t row = 0; row < rows; ++row) ids.push_back(row);
  auto made = source(rows_per_chunk);
  made->ids("row", ids, rows);
  return made;
}

std::vector<std::int32_t> rows_of(const Dataset& split) { return all_rows(split).sparse[0].ids; }

std::string file_text(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("dense values: default for missing ones, log1p of what is not negative") {
  DataFixture fixture;
  fixture.features["count"] = {.transform = "log1p", .default_value = -3.0};
  const auto data = source(2);
  data->dense("count", {0.0F, -1.0F, 7.0F, std::nullopt}).dense("price", {1.5F, std::nullopt, -2.0F, 0.0F});
  const PreparedData prepared = fixture.prepare("train", data);
  const Batch batch = all_rows(*prepared.train);
  REQUIRE(batch.dense.size() == 8);
  CHECK(batch.dense == std::vector<float>{0.0F, 1.5F, 0.0F, 0.0F, std::log1p(7.0F), -2.0F, -3.0F, 0.0F});
}

TEST_CASE("a list keeps its last ids, in order") {
  DataFixture fixture;
  const auto data = source(2);
  data->lists("history", {{1, 2, 3, 4}, {}, {5}, {6, 7, 8}});
  fixture.features["history"].max_length = 2;
  const PreparedData prepared = fixture.prepare("train", data);
  CHECK(list_text(*prepared.train, all_rows(*prepared.train), 0) == "3 4||5|7 8|");
  CHECK(prepared.vocabularies->at("history").rows() == 2 + 5);  // what was cut off was never seen
  CHECK(prepared.plan->schema.sparse[0].pooling == FeatureInfo::Pooling::kMean);
}

TEST_CASE("a list of at most one id becomes a single id") {
  DataFixture fixture;
  const auto data = source(2);
  data->lists("history", {{1, 2}, {}, {5}});
  fixture.features["history"].max_length = 1;
  const PreparedData prepared = fixture.prepare("train", data);
  const Batch batch = all_rows(*prepared.train);
  CHECK(batch.sparse[0].offsets.empty());
  CHECK(texts(*prepared.train, batch, 0) == std::vector<std::string>{"2", "<missing>", "5"});
}

TEST_CASE("features come by role, settings change that") {
  DataFixture fixture;
  const auto data = source();
  data->dense("price", {1, 2}).ids("item", {3, 4}).ids("when", {5, 6}).as(ColumnRole::kTime).ids("id", {7, 8}).as(ColumnRole::kId);
  data->label("click", {0, 1});
  fixture.features["price"].kind = "ignore";
  fixture.features["when"].kind = "dense";
  const BatchSchema schema = fixture.prepare("train", data).plan->schema;
  REQUIRE(schema.dense.size() == 1);
  CHECK(schema.dense[0].name == "when");
  REQUIRE(schema.sparse.size() == 1);
  CHECK(schema.sparse[0].name == "item");
  REQUIRE(schema.labels.size() == 1);
  CHECK_FALSE(schema.has_weight);
}

TEST_CASE("settings that cannot work are refused with a remedy") {
  DataFixture fixture;
  const auto data = source();
  data->dense("price", {1, 2}).words("city", {"a", "b"}).ids("item", {3, 4});
  const auto refused = [&](const std::string& feature, const FeatureSection& section, const std::string& text) {
    fixture.features = {{feature, section}};
    CHECK_THROWS_AS(fixture.prepare("train", data), ConfigError);
    CHECK_THROWS_WITH(fixture.prepare("train", data), Contains(text));
  };
  refused("city", {.kind = "dense"}, "\"city\" holds strings and cannot be a dense feature");
  refused("price", {.kind = "sparse"}, "\"price\" holds fractions");
  refused("city", {.encoder = "identity"}, "its values are strings");
  refused("item", {.encoder = "identity"}, "does not say how many ids there are");
  refused("city", {.cardinality = 9}, "its values are strings");
  refused("item", {.encoder = "vocabulary", .cardinality = 9}, "cardinality has no effect");
  refused("price", {.cardinality = 9}, "cardinality has no effect");
  refused("item", {.encoder = "hash"}, "needs hash_rows");
  refused("item", {.hash_rows = 10}, "set encoder = \"hash\"");
  refused("item", {.transform = "log1p"}, "is for dense features");
}

TEST_CASE("a cardinality that the loader does not know can be given") {
  DataFixture fixture;
  const auto data = source();
  data->ids("item", {3, 0, 4});
  fixture.features["item"].cardinality = 5;
  const PreparedData prepared = fixture.prepare("train", data);
  CHECK(prepared.train->vocabularies().at("item").rows() == 5);
  CHECK(all_rows(*prepared.train).sparse[0].ids == std::vector<std::int32_t>{3, 0, 4});
  fixture.features["item"].cardinality = 4;
  CHECK_THROWS_WITH(fixture.prepare("train", data), Contains("\"item\"") && Contains("4"));
}

TEST_CASE("bad rows end the run, first of all the first one") {
  DataFixture fixture;
  const auto data = source(2);
  data->dense("price", {1, 2, 3, 4, 5, 6}).label("click", {0, 1, 1, 2, 0, 3});
  for (const int threads : {1, 3}) {
    fixture.threads = threads;
    CHECK_THROWS_WITH(fixture.prepare("train", data), Contains("train, chunk 1, row 1 (memory.tsv:4), column \"click\": label 2 is neither 0 nor 1"));
  }
  data->refuse(0, "price", "\"x\" is not a number");
  CHECK_THROWS_WITH(fixture.prepare("train", data), Contains("train, chunk 0, row 0 (memory.tsv:1), column \"price\": \"x\" is not a number") &&
                                                        Contains("data.bad_rows = \"skip\""));
}

TEST_CASE("skipped rows leave no trace in rows, vocabularies and counts") {
  DataFixture fixture;
  fixture.data.bad_rows = "skip";
  const auto data = source(2);
  data->dense("price", {1, kNan, 3, 4, 5, std::numeric_limits<float>::infinity(), 7});
  data->ids("item", {10, 20, 30, 10, 40, 50, 10}).label("click", {0, 1, 1, 2, 0, 1, std::nullopt}).ids("shop", {0, 1, 2, 0, 9, 1, 2}, 3);
  data->refuse(2, "price", "torn");
  for (const int threads : {1, 4}) {
    fixture.threads = threads;
    const PreparedData prepared = fixture.prepare("train", data);
    CHECK(prepared.train->samples() == 1);
    CHECK(texts(*prepared.train, all_rows(*prepared.train), 0) == std::vector<std::string>{"10"});
    CHECK(prepared.vocabularies->at("item").rows() == 3);
    CHECK(prepared.vocabularies->at("shop").counts()[0] == 1);
    CHECK(prepared.bad_rows == 6);
    CHECK(prepared.bad_rows_by_split.at("train") == 6);
    CHECK(prepared.bad_rows_by_column.at("price") == 3);
    CHECK(prepared.bad_rows_by_column.at("click") == 2);
    CHECK(prepared.bad_rows_by_column.at("shop") == 1);
  }
}

TEST_CASE("more bad rows than the budget end the run") {
  DataFixture fixture;
  fixture.data.bad_rows = "skip";
  fixture.data.bad_row_budget = 2;
  const auto data = source(10);
  data->dense("price", {kNan, 1, kNan, 2});
  CHECK(fixture.prepare("train", data).bad_rows == 2);
  const auto worse = source(10);
  worse->dense("price", {kNan, 1, kNan, kNan, kNan, 2});
  CHECK_THROWS_WITH(fixture.prepare("train", worse), Contains("more than data.bad_row_budget = 2 bad rows") && Contains("row 3"));
  const auto torn = source(10);
  torn->dense("price", {1, 2, 3, 4, 5});
  for (const std::int64_t row : {0, 1, 2, 3}) torn->refuse(row, "price", "torn");
  CHECK_THROWS_WITH(fixture.prepare("train", torn), Contains("the last: train, chunk 0, row 2"));
}

TEST_CASE("quarantined rows are written in order, whatever the number of threads") {
  DataFixture fixture;
  fixture.data.bad_rows = "quarantine";
  MemorySource::Values<float> price;
  for (int row = 0; row < 200; ++row) price.push_back(row % 17 == 3 ? kNan : static_cast<float>(row));
  const auto data = source(8);
  data->dense("price", price).refuse(5, "price", "\"\xff\" is not a number", std::string("raw\0\xff", 5)).refuse(100, "", "torn");
  std::string expected;
  for (const int threads : {1, 2, 4}) {
    const test::Folder folder;
    fixture.quarantine = folder.path() / "quarantine";
    fixture.threads = threads;
    CHECK(fixture.prepare("train", data).bad_rows == 14);
    const std::string text = file_text(folder.path() / "quarantine" / "train.jsonl");
    if (expected.empty()) expected = text;
    CHECK(text == expected);
  }
  CHECK(std::count(expected.begin(), expected.end(), '\n') == 14);
  CHECK_THAT(expected, Contains("\"raw_base64\":\"cmF3AP8=\"") && Contains("\"line\":101"));
  CHECK(expected.find("\"row_in_chunk\":3") < expected.find("\"row_in_chunk\":5"));
  // A row that was read and cannot be used is described like one that could not be read.
  CHECK_THAT(expected, Contains("\"source\":\"memory.tsv\",\"line\":4,\"column\":\"price\",\"reason\":\"nan is not a finite number\",\"raw\":\"row 4\",\"raw_bytes\":10"));
  std::istringstream lines(expected);
  for (std::string line; std::getline(lines, line);) CHECK_THAT(line, Contains("\"source\":\"memory.tsv\"") && !Contains("\"line\":0"));
}

TEST_CASE("an error names file and line of a row that was read and cannot be used") {
  DataFixture fixture;
  const auto data = source(2);
  data->dense("price", {1, 2, 3, kNan, kNan});
  CHECK_THROWS_WITH(fixture.prepare("train", data), Contains("train, chunk 1, row 1 (memory.tsv:4), column \"price\": nan is not a finite number"));
}

TEST_CASE("missing = \"fail\" makes a missing value a bad row") {
  DataFixture fixture;
  const auto data = source();
  data->dense("price", {1, std::nullopt}).ids("item", {std::nullopt, 2});
  fixture.features["item"].missing = "fail";
  CHECK_THROWS_WITH(fixture.prepare("train", data), Contains("row 0 (memory.tsv:1), column \"item\": the value is missing"));
  fixture.features["item"].missing = "default";
  fixture.features["price"].missing = "fail";
  CHECK_THROWS_WITH(fixture.prepare("train", data), Contains("row 1 (memory.tsv:2), column \"price\": the value is missing"));
}

TEST_CASE("splits by tail: training rows first, then validation, then test") {
  DataFixture fixture;
  fixture.data.split = {.valid = 0.2, .test = 0.1};
  const PreparedData prepared = fixture.prepare("all", numbered(10, 3));
  CHECK(rows_of(*prepared.train) == std::vector<std::int32_t>{0, 1, 2, 3, 4, 5, 6});
  CHECK(rows_of(*prepared.valid) == std::vector<std::int32_t>{7, 8});
  CHECK(rows_of(*prepared.test) == std::vector<std::int32_t>{9});
  CHECK(prepared.split("test") == prepared.test.get());
}

TEST_CASE("random splits are disjoint, complete, and follow from the seed") {
  DataFixture fixture;
  fixture.data.split = {.valid = 0.2, .test = 0.3, .by = "random"};
  const PreparedData prepared = fixture.prepare("all", numbered(1000, 64));
  CHECK(prepared.train->samples() == 500);
  CHECK(prepared.valid->samples() == 200);
  CHECK(prepared.test->samples() == 300);
  std::set<std::int32_t> seen;
  for (const Dataset* split : {prepared.train.get(), prepared.valid.get(), prepared.test.get()}) {
    const std::vector<std::int32_t> rows = rows_of(*split);
    CHECK(std::is_sorted(rows.begin(), rows.end()));
    seen.insert(rows.begin(), rows.end());
  }
  CHECK(seen.size() == 1000);
  CHECK(rows_of(*prepared.train)[499] > 900);
  fixture.threads = 4;
  CHECK(rows_of(*fixture.prepare("all", numbered(1000, 64)).train) == rows_of(*prepared.train));
  fixture.seed = 2;
  CHECK(rows_of(*fixture.prepare("all", numbered(1000, 64)).train) != rows_of(*prepared.train));
}

TEST_CASE("validation rows of one source teach the vocabulary nothing") {
  DataFixture fixture;
  fixture.data.split = {.valid = 0.5};
  const auto data = source(2);
  data->ids("item", {1, 2, 2, 3, 3, 3, 2, 1});
  const PreparedData prepared = fixture.prepare("all", data);
  CHECK(texts(*prepared.train, all_rows(*prepared.train), 0) == std::vector<std::string>{"1", "2", "2", "3"});
  CHECK(texts(*prepared.valid, all_rows(*prepared.valid), 0) == std::vector<std::string>{"3", "3", "2", "1"});
  const Vocabulary& item = prepared.vocabularies->at("item");
  CHECK(item.row(std::int64_t{2}) == 2);
  CHECK(item.counts()[2] == 2);
}

TEST_CASE("training rows that do not fit in memory: an error that says what to do, or chunks read again") {
  DataFixture fixture;
  fixture.data.memory_gib = 0.0000005;  // 536 bytes
  const auto data = mixed_source(300, 20);
  CHECK_THROWS_WITH(fixture.prepare("train", data), Contains("data.shuffle = \"full\"") && Contains("300 rows") &&
                                                        Contains("Raise data.memory_gib, or set data.shuffle = \"chunk\""));
  fixture.data.shuffle = "chunk";
  CHECK_THROWS_WITH(fixture.prepare("train", data), Contains("keeps 9 chunks"));
  fixture.data.shuffle = "none";
  const PreparedData streamed = fixture.prepare("train", data);
  CHECK_FALSE(streamed.train->resident());
  fixture.data.memory_gib = 1.0;
  const PreparedData resident = fixture.prepare("train", data);
  CHECK(resident.train->resident());
  CHECK(equal(all_rows(*streamed.train), all_rows(*resident.train)));
  CHECK(streamed.train->memory_bytes() < resident.train->memory_bytes());
}

TEST_CASE("a streamed random split with bad rows is what the same split in memory is") {
  DataFixture fixture;
  fixture.data.shuffle = "none";
  fixture.data.bad_rows = "skip";
  fixture.data.split = {.valid = 0.3, .by = "random"};
  const auto data = mixed_source(300, 20);
  data->refuse(7, "price", "torn").refuse(150, "price", "torn").refuse(299, "price", "torn");
  const PreparedData resident = fixture.prepare("all", data);
  fixture.data.memory_gib = 1e-9;
  const PreparedData streamed = fixture.prepare("all", data);
  CHECK_FALSE(streamed.valid->resident());
  CHECK(streamed.train->samples() + streamed.valid->samples() == 297);
  CHECK(equal(all_rows(*streamed.train), all_rows(*resident.train)));
  CHECK(equal(all_rows(*streamed.valid), all_rows(*resident.valid)));
}

TEST_CASE("lists that outgrow the memory make the split stream") {
  DataFixture fixture;
  fixture.data.shuffle = "none";
  std::vector<std::vector<std::int64_t>> lists(40, std::vector<std::int64_t>(50, 3));
  const auto data = source(4);
  data->lists("history", lists);
  fixture.data.memory_gib = 2000.0 / (1 << 30);
  const PreparedData streamed = fixture.prepare("train", data);
  CHECK_FALSE(streamed.train->resident());
  CHECK(all_rows(*streamed.train).sparse[0].ids.size() == 2000);
  fixture.data.shuffle = "full";
  CHECK_THROWS_WITH(fixture.prepare("train", data), Contains("Raise data.memory_gib"));
}

TEST_CASE("data without labels can be predicted with the vocabularies of a run") {
  DataFixture fixture;
  const auto train = source();
  train->ids("item", {1, 2, 2}).label("click", {0, 1, 0}).weight("w", {1, 2, 3});
  fixture.vocabularies = fixture.prepare("train", train).vocabularies;
  const auto fresh = source();
  fresh->ids("item", {2, 9});
  const PreparedData prepared = fixture.prepare("test", fresh);
  CHECK(prepared.train == nullptr);
  CHECK(texts(*prepared.test, all_rows(*prepared.test), 0) == std::vector<std::string>{"2", "<unknown>"});
  fixture.vocabularies = nullptr;
  CHECK_THROWS_WITH(fixture.prepare("test", fresh), Contains("learnt from training rows"));
}

TEST_CASE("splits whose columns differ are refused by name; their order does not matter") {
  DataFixture fixture;
  const auto train = source();
  train->ids("item", {1, 2}).ids("user", {5, 6}).label("click", {0, 1});
  const auto swapped = source();
  swapped->label("click", {1}).ids("user", {6}).ids("item", {2});
  const PreparedData prepared = fixture.prepare({{"train", train}, {"test", swapped}});
  CHECK(texts(*prepared.test, all_rows(*prepared.test), 0) == std::vector<std::string>{"2"});
  CHECK(texts(*prepared.test, all_rows(*prepared.test), 1) == std::vector<std::string>{"6"});
  const auto other = source();
  other->ids("items", {1}).ids("user", {5}).label("click", {0});
  CHECK_THROWS_WITH(fixture.prepare({{"train", train}, {"test", other}}), Contains("column \"item\" is missing") && Contains("did you mean \"items\""));
  const auto unlabelled = source();
  unlabelled->ids("item", {1}).ids("user", {5});
  CHECK_THROWS_WITH(fixture.prepare({{"train", train}, {"test", unlabelled}}), Contains("column \"click\" is missing"));
}

TEST_CASE("the number of classes comes from the data when the loader does not tell") {
  DataFixture fixture;
  const auto data = source(2);
  data->ids("item", {1, 2, 3, 4, 5}).label("kind", {0, 2, 1, 4, 0}, LabelKind::kMulticlass);
  CHECK(fixture.prepare("train", data).plan->schema.labels[0].classes == 5);
  const auto fractions = source(2);
  fractions->ids("item", {1, 2}).label("kind", {0, 1.5F}, LabelKind::kMulticlass);
  CHECK_THROWS_WITH(fixture.prepare("train", fractions), Contains("label 1.5 is not a class number"));
}

TEST_CASE("candidates are rows of the key's table and teach it nothing") {
  DataFixture fixture;
  const auto data = source(2);
  data->ids("item", {1, 2, 3}).of("item", true).lists("others", {{2, 3}, {9}, {}}).as(ColumnRole::kCandidates);
  const PreparedData prepared = fixture.prepare("train", data);
  const Batch batch = all_rows(*prepared.train);
  const Vocabulary& item = prepared.vocabularies->at("item");
  CHECK(prepared.plan->schema.has_candidates);
  CHECK(prepared.plan->schema.candidates_table == "item");
  CHECK(item.rows() == 5);
  CHECK(batch.candidates.offsets == std::vector<std::int64_t>{0, 2, 3, 3});
  CHECK(batch.candidates.ids == std::vector<std::int32_t>{item.row(std::int64_t{2}), item.row(std::int64_t{3}), Vocabulary::kUnknownRow});
  CHECK(item.counts()[item.row(std::int64_t{2})] == 1);
}

TEST_CASE("candidates may be listed in one split only") {
  DataFixture fixture;
  const auto train = source(2);
  train->ids("item", {1, 2, 3}).of("item", true);
  const auto test = source(2);
  test->ids("item", {2, 3}).of("item", true).lists("others", {{1}, {3, 1}}).as(ColumnRole::kCandidates);
  const PreparedData prepared = fixture.prepare({{"train", train}, {"test", test}});
  CHECK(prepared.plan->schema.has_candidates);
  CHECK_FALSE(prepared.train->lists_candidates());
  CHECK(prepared.test->lists_candidates());
  CHECK(all_rows(*prepared.train).candidates.offsets == std::vector<std::int64_t>{0, 0, 0, 0});
  CHECK(all_rows(*prepared.test).candidates.offsets == std::vector<std::int64_t>{0, 1, 3});
}

TEST_CASE("labels of an earlier run keep their kinds, classes and order") {
  DataFixture fixture;
  const auto data = source(2);
  data->ids("item", {1, 2, 3}).label("click", {0, 1, 0}).label("kind", {0, 4, 1}, LabelKind::kMulticlass);
  const PreparedData first = fixture.prepare("train", data);
  fixture.vocabularies = first.vocabularies;
  fixture.labels = first.plan->schema.labels;
  const auto fewer = source(2);
  fewer->ids("item", {1, 2}).label("kind", {1, 0}, LabelKind::kMulticlass).label("more", {1, 1});
  CHECK_THROWS_WITH(fixture.prepare("train", fewer), Contains("column \"click\" is missing"));
  fixture.labels_required = false;
  const PreparedData second = fixture.prepare("train", fewer);
  REQUIRE(second.plan->schema.labels.size() == 2);
  CHECK(second.plan->schema.labels[0].name == "click");
  CHECK(second.plan->schema.labels[1].classes == 5);
  const Batch batch = all_rows(*second.train);
  CHECK(std::isnan(batch.labels[0]));
  CHECK(batch.labels[1] == 1.0F);
  const auto more = source(2);
  more->ids("item", {1}).label("kind", {5}, LabelKind::kMulticlass);
  CHECK_THROWS_WITH(fixture.prepare("train", more), Contains("label 5 is not a class number in [0, 5)"));
}

TEST_CASE("weights come along, missing ones are 1") {
  DataFixture fixture;
  const auto data = source(2);
  data->ids("item", {1, 2, 3}).weight("importance", {2.0F, std::nullopt, 0.5F});
  CHECK(all_rows(*fixture.prepare("train", data).train).weights == std::vector<float>{2.0F, 1.0F, 0.5F});
  const auto negative = source(2);
  negative->ids("item", {1}).weight("importance", {-1.0F});
  CHECK_THROWS_WITH(fixture.prepare("train", negative), Contains("weight -1 is negative"));
}

TEST_CASE("a loader that fails is heard, the earliest chunk first") {
  DataFixture fixture;
  const auto data = mixed_source(200, 10);
  data->break_chunk(4);
  for (const int threads : {1, 4}) {
    fixture.threads = threads;
    CHECK_THROWS_WITH(fixture.prepare("train", data), Contains("chunk 4 is torn"));
  }
}

TEST_CASE("a sample that does not exist is refused") {
  DataFixture fixture;
  const PreparedData prepared = fixture.prepare("train", numbered(10, 3));
  Batch batch;
  const std::vector<std::int64_t> samples{3, 10};
  CHECK_THROWS_WITH(prepared.train->gather(samples, batch), Contains("no sample 10"));
}
