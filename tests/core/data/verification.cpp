#include "data/verification.h"

#include <catch2/catch.hpp>

#include "fixture.h"

using namespace rechost;
using Catch::Matchers::Contains;

namespace {

SplitVerification verify(MemorySource& source, const std::map<std::string, FeatureSection>& features = {}, std::int64_t kept = 20, int threads = 1) {
  VerificationOptions options;
  options.kept = kept;
  options.feature_settings = [&](const std::string& name) {
    const auto found = features.find(name);
    return found == features.end() ? FeatureSection{} : found->second;
  };
  for (const auto& [name, section] : features) {
    if (!section.source.empty()) options.derived_features.push_back(name);
  }
  ThreadPool pool(threads);
  return verify_rows(source, options, pool);
}

}  // namespace

TEST_CASE("sound rows are counted, those that the loader or the encoder refuses are listed in their order") {
  const auto data = source(3);
  data->dense("price", {1, 2, std::numeric_limits<float>::infinity(), 4, 5, 6, 7}).ids("item", {0, 1, 2, 9, 4, 5, 6}, 8).refuse(5, "price", "torn", "x");
  for (const int threads : {1, 3}) {
    const SplitVerification found = verify(*data, {}, 20, threads);
    CHECK_FALSE(found.sound());
    CHECK((found.chunks == 3 && found.declared_rows == 7 && found.sound_rows == 4 && found.bad_rows == 3 && found.broken_chunks == 0));
    CHECK(found.bad_rows_by_column == std::map<std::string, std::int64_t>{{"price", 2}, {"item", 1}});
    REQUIRE(found.first_bad_rows.size() == 3);
    CHECK((found.first_bad_rows[0].line == 3 && found.first_bad_rows[1].line == 4 && found.first_bad_rows[2].line == 6));
    for (const BadRow& row : found.first_bad_rows) CHECK(row.source == "memory.tsv");
  }
  CHECK(verify(*data, {}, 2).first_bad_rows.size() == 2);
  CHECK(verify(*data, {}, 2).bad_rows == 3);
}

TEST_CASE("a chunk that cannot be read is listed, and the others are read") {
  const auto data = source(2);
  data->dense("price", {1, 2, 3, 4, 5, 6});
  data->break_chunk(1);
  const SplitVerification found = verify(*data);
  CHECK((found.broken_chunks == 1 && found.sound_rows == 4 && found.bad_rows == 0));
  REQUIRE(found.first_broken_chunks.size() == 1);
  CHECK(found.first_broken_chunks[0].chunk == 1);
  CHECK_THAT(found.first_broken_chunks[0].reason, Contains("torn"));
}

TEST_CASE("features made of other columns are checked as a run would") {
  const auto data = source(2);
  data->dense("price", {1, 2, 3}).words("when", {{"2024-01-31"}, {"soon"}, {"2024-02-30"}}).as(ColumnRole::kTime);
  CHECK(verify(*data).sound());  // nobody looks at the time
  FeatureSection hour;
  hour.source = "when";
  hour.kind = "sparse";
  hour.extract = "hour_of_day";
  const SplitVerification found = verify(*data, {{"hour", hour}});
  CHECK(found.bad_rows == 2);
  REQUIRE(found.first_bad_rows.size() == 2);
  CHECK(found.first_bad_rows[0].column == "hour");
  CHECK_THAT(found.first_bad_rows[0].reason, Contains("\"soon\" is not a time"));
  CHECK(found.first_bad_rows[0].line == 2);
}
