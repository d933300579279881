// Encoded rows, given as a loader would give them: whoever prepares these anew gets the same batches.
#include "data/dataset_source.h"

#include <catch2/catch.hpp>

#include "fixture.h"

using namespace rechost;

namespace {

/// What data.toml says of encoded columns.
std::map<std::string, FeatureSection> features_of_encoded(const DatasetSource& source) {
  std::map<std::string, FeatureSection> features;
  for (const ColumnInfo& column : source.columns()) {
    if (column.role == ColumnRole::kSparse) features[column.name].cardinality = *column.cardinality;
    if (column.name == "history_weights") features["history"].weights = column.name;
  }
  return features;
}

void same_batches(const DataFixture& fixture, const std::shared_ptr<MemorySource>& made) {
  const PreparedData first = fixture.prepare("train", made);
  const auto encoded = std::make_shared<DatasetSource>(*first.train);
  CHECK(encoded->chunk_count() == made->chunk_count());
  DataFixture again;
  again.features = features_of_encoded(*encoded);
  const PreparedData second = again.prepare(std::vector<SplitSource>{{.name = "train", .source = encoded, .streams = {}}});
  CHECK(equal(all_rows(*first.train), all_rows(*second.train)));
  for (const Vocabulary& table : second.train->vocabularies()) CHECK(table.rows() == first.train->vocabularies().at(table.name()).rows());
}

}  // namespace

TEST_CASE("encoded rows are numbers and rows of tables") {
  DataFixture fixture;
  fixture.data.memory_gib = GENERATE(4.0, 0.0);  // rows at hand, and rows that are encoded again for each chunk
  fixture.data.shuffle = "none";
  SECTION("as they come") {}
  SECTION("hashed, with several rows for a value") { fixture.features["city"] = {.encoder = "hash", .hash_rows = 50, .hashes = 2}; }
  SECTION("cut and filled lists") { fixture.features["history"] = {.max_length = 2, .padding = "front"}; }
  SECTION("weights of a list") { fixture.features["history"] = {.weights = "watched"}; }
  SECTION("weights of a cut and filled list") { fixture.features["history"] = {.weights = "watched", .max_length = 2, .padding = "back"}; }
  SECTION("one of a list") { fixture.features["history"] = {.max_length = 1}; }
  SECTION("buckets") { fixture.features["price"] = {.encoder = "bucket", .buckets = 7}; }
  SECTION("transformed and scaled numbers") { fixture.features["price"] = {.transform = "log1p", .scale = "standardise", .default_value = 0.5}; }
  same_batches(fixture, mixed_source(300, 32));
}

TEST_CASE("encoded rows leave bad ones out, and classes stay integers") {
  auto made = source(4);
  made->ids("user", {5, 6, 5, 7, 8, 9}).label("kind", {0.0F, 2.0F, 1.0F, 1.0F, 0.0F, 2.0F}, LabelKind::kMulticlass).refuse(1, "user", "torn");
  DataFixture fixture;
  fixture.data.bad_rows = "skip";
  const PreparedData prepared = fixture.prepare("train", made);
  DatasetSource encoded(*prepared.train);
  CHECK(encoded.chunk_rows(0) == 3);
  CHECK(encoded.chunk_rows(1) == 2);
  const std::vector<std::uint32_t> wanted{1, 0};
  const auto data = encoded.read(0, wanted, [](BadRow&&) {});
  CHECK(encoded.columns()[1].type == ValueType::kInt32);
  CHECK(encoded.columns()[1].cardinality == 3);
  const auto* const kinds = static_cast<const std::int32_t*>(data->columns()[0].values);
  CHECK(std::vector<std::int32_t>(kinds, kinds + 3) == std::vector<std::int32_t>{0, 1, 1});
}
