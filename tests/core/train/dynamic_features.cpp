// Keys of a step whose batch is cut into slices: rows are given to all of them at once.
#include "train/dynamic_features.h"

#include <catch2/catch.hpp>

using namespace rechost;

namespace {

/// A column as batches have it.
IdColumn column_of(const std::vector<std::int64_t>& keys) {
  IdColumn column;
  column.offsets.push_back(0);
  for (const std::int64_t key : keys) {
    column.ids.push_back(static_cast<std::int32_t>(key));
    column.ids.push_back(static_cast<std::int32_t>(key >> 32));
    column.offsets.push_back(static_cast<std::int64_t>(column.ids.size()));
  }
  return column;
}

/// One table that two columns read: of samples, and of negatives.
struct Fixture {
  Fixture() {
    feature.name = feature.table = "item";
    feature.kind = FeatureInfo::Kind::kSparse;
    feature.dynamic = true;
    std::vector<Vocabulary> tables;
    tables.emplace_back(TableEncoding{.name = "item", .encoder = EncoderKind::kDynamic, .min_count = 2, .max_rows = 10});
    vocabularies = Vocabularies(std::move(tables));
    const std::vector<DynamicFeatures::ColumnSource> sources{{0, 0, &feature}, {0, 1, &feature}};
    features = std::make_unique<DynamicFeatures>(vocabularies, sources, 1);
    features->begin_training();
  }

  void take(std::size_t slice, std::size_t id_column, bool counted, const std::vector<std::int64_t>& keys) {
    features->take(column_of(keys), static_cast<std::int64_t>(keys.size()), id_column, counted, slices[slice]);
  }
  void give_rows(std::int64_t step) {
    features->count(std::vector<const KeyedBatch*>{&slices[0], &slices[1]}, keyed);
    features->assign(step, keyed);
    features->place(keyed, std::vector<KeyedBatch*>{&slices[0], &slices[1]});
  }

  FeatureInfo feature;
  Vocabularies vocabularies;
  std::unique_ptr<DynamicFeatures> features;
  KeyedBatch slices[2];
  KeyedStep keyed;
};

}  // namespace

TEST_CASE("occurrences of a key add up over the slices of a step") {
  Fixture fixture;
  fixture.take(0, 0, true, {7, 1LL << 40});
  fixture.take(0, 1, true, {});
  fixture.take(1, 0, true, {5, 7, kMissingKey});
  fixture.take(1, 1, true, {5});
  fixture.give_rows(1);
  // Keys in ascending order get rows from 2 on; what came once has none.
  CHECK(fixture.slices[0].columns[0].ids == std::vector<std::int32_t>{3, 0});
  CHECK(fixture.slices[1].columns[0].ids == std::vector<std::int32_t>{2, 3, 1});
  CHECK(fixture.slices[1].columns[1].ids == std::vector<std::int32_t>{2});
  CHECK(fixture.keyed.tables[0].changes.ids == 5);
  CHECK(fixture.keyed.tables[0].changes.unadmitted_ids == 1);
}

TEST_CASE("negatives that the batch shares count once, and are read by every slice") {
  Fixture fixture;
  for (std::int64_t step = 1; step <= 2; ++step) {
    fixture.take(0, 0, true, {});
    fixture.take(0, 1, true, {9, 4});
    fixture.take(1, 0, true, {});
    fixture.take(1, 1, false, {9, 4});
    fixture.give_rows(step);
    const std::vector<std::int32_t> expected = step == 1 ? std::vector<std::int32_t>{0, 0} : std::vector<std::int32_t>{3, 2};
    CHECK(fixture.slices[0].columns[1].ids == expected);
    CHECK(fixture.slices[1].columns[1].ids == expected);
    CHECK(fixture.keyed.tables[0].changes.ids == 2);
  }
}

TEST_CASE("a key has one weight, whatever its halves") {
  Fixture fixture;
  IdColumn column = column_of({7, 8, 9});
  column.weights = {0.5F, 0.5F, 2.0F, 2.0F, 0.0F, 0.0F};
  fixture.features->take(column, 3, 0, true, fixture.slices[0]);
  CHECK(fixture.slices[0].columns[0].weights == std::vector<float>{0.5F, 2.0F, 0.0F});
  fixture.take(0, 0, true, {7});
  CHECK(fixture.slices[0].columns[0].weights.empty());
}
