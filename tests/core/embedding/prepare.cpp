#include <catch2/catch.hpp>
#include <map>

#include "base/error.h"
#include "core/embedding/reference_engine.h"
#include "core/kernels/random_values.h"
#include "embedding/deduplicate.h"
#include "embedding/engine.h"
#include "embedding/prepared_ids.h"
#include "embedding/table_storage.h"

using namespace rechost;
using rechost::test::Column;
using rechost::test::RandomValues;

namespace {

void require_consistent(const PreparedGroup& group) {
  std::map<std::int32_t, std::vector<std::int32_t>> expected;
  for (std::int64_t i = 0; i < group.ids.size(); ++i) expected[group.ids[i]].push_back(static_cast<std::int32_t>(i));
  REQUIRE(group.unique_rows.size() == static_cast<std::int64_t>(expected.size()));
  REQUIRE(group.segment_offsets.size() == group.unique_rows.size() + 1);
  std::int64_t unique = 0;
  std::int64_t next = 0;
  for (const auto& [row, positions] : expected) {
    if (group.unique_rows[unique] != row || group.segment_offsets[unique] != next) FAIL("unique row " << unique << " is wrong");
    for (const std::int32_t position : positions) {
      if (group.positions[next] != position) FAIL("position " << next << " is wrong");
      if (group.inverse[position] != unique) FAIL("inverse of " << position << " is wrong");
      ++next;
    }
    ++unique;
  }
  REQUIRE(group.segment_offsets[unique] == group.ids.size());
}

/// One table of 1000 rows read by one column.
struct SmallModel {
  ThreadPool pool{2};
  EmbeddingEngine engine{
      {TableConfig{.name = "c3", .rows = 1000, .dim = 4, .initializer = {}, .optimizer = {}}}, {{0, 0, Pooling::kSum}}, {{{0}}}, 1, pool};
  PreparedIds prepared;

  void prepare(const Column& column) {
    const IdColumnView view = column.view();
    engine.prepare({&view, 1}, prepared, pool);
  }
};

}  // namespace

TEST_CASE("ids are deduplicated, sorted and mapped back, by counting and by radix sort alike") {
  constexpr std::uint64_t kSeed = 1234;
  CAPTURE(kSeed);
  RandomValues random(kSeed);
  PreparedGroup group;  // used again and again: what one batch leaves must not show in the next
  for (const std::int64_t rows : {1, 2, 255, 257, 1000, 70000, 16777217, 2147483647}) {
    for (const std::int64_t count : {1000, 0, 1, 2, 65, 20000}) {
      for (const std::int64_t distinct : {std::int64_t{1}, std::int64_t{50}, rows}) {
        CAPTURE(rows, count, distinct);
        group.ids.resize_unspecified(count);
        for (std::int64_t i = 0; i < count; ++i) {
          // From the top of the table, so that the highest digits take part.
          group.ids[i] = static_cast<std::int32_t>(rows - 1 - random.below(std::min(distinct, rows)));
        }
        deduplicate(group, rows);
        require_consistent(group);
      }
    }
  }
}

TEST_CASE("an id outside the table names feature, sample, id and table") {
  SmallModel model;
  std::vector<std::int32_t> ids(20, 3);
  ids[17] = 1234;
  REQUIRE_THROWS_AS(model.prepare({"c3", ids, {}, 20}), DataError);
  REQUIRE_THROWS_WITH(model.prepare({"c3", ids, {}, 20}),
                      Catch::StartsWith("feature \"c3\": id 1234 at sample 17 is outside table \"c3\" with 1000 rows; "));
  ids[17] = -1;
  REQUIRE_THROWS_WITH(model.prepare({"clicks", ids, {0, 0, 18, 18, 20}, 4}), Catch::StartsWith("feature \"clicks\": id -1 at sample 1 "));
  ids[17] = 1000;
  REQUIRE_THROWS_AS(model.prepare({"c3", ids, {}, 20}), DataError);
  ids[17] = 999;
  REQUIRE_NOTHROW(model.prepare({"c3", ids, {}, 20}));
}

TEST_CASE("offsets that do not fit the ids are refused") {
  SmallModel model;
  const std::vector<std::int32_t> ids{1, 2, 3};
  REQUIRE_THROWS_WITH(model.prepare({"f", ids, {}, 2}), Catch::Contains("3 ids for 2 samples"));
  REQUIRE_THROWS_AS(model.prepare({"f", ids, {0, 3}, 2}), DataError);
  REQUIRE_THROWS_AS(model.prepare({"f", ids, {1, 2, 3}, 2}), DataError);
  REQUIRE_THROWS_AS(model.prepare({"f", ids, {0, 2, 2}, 2}), DataError);
  REQUIRE_THROWS_WITH(model.prepare({"f", ids, {0, 2, 1, 3}, 3}), Catch::Contains("go down after sample 1"));
}

TEST_CASE("an empty batch is prepared, looked up and updated") {
  SmallModel model;
  model.prepare({"f", {}, {}, 0});
  REQUIRE(model.engine.unique_rows(model.prepared, 0).empty());
  float nothing = 0.0f;
  float* const outputs[] = {&nothing};
  model.engine.forward(model.prepared, outputs, model.pool);
  const float* const gradients[] = {&nothing};
  model.engine.update(model.prepared, gradients, {}, model.pool);
  model.prepare({"f", {}, {0, 0, 0}, 2});
  float rows[8] = {1, 1, 1, 1, 1, 1, 1, 1};
  float* const two_rows[] = {rows};
  model.engine.forward(model.prepared, two_rows, model.pool);
  for (const float value : rows) REQUIRE(value == 0.0f);
}

TEST_CASE("tables on the same columns share one group, bounded by the smaller table") {
  ThreadPool pool(1);
  const TableConfig wide{.name = "wide", .rows = 100, .dim = 8, .initializer = {}, .optimizer = {}};
  const TableConfig narrow{.name = "narrow", .rows = 50, .dim = 1, .initializer = {}, .optimizer = {}};
  const EmbeddingEngine engine({wide, narrow}, {{0, 0, Pooling::kSum}, {1, 0, Pooling::kSum}}, {{{0}}, {{1}}}, 1, pool);
  const Column column{"f", {49, 3, 49}, {}, 3};
  const IdColumnView view = column.view();
  PreparedIds prepared;
  engine.prepare({&view, 1}, prepared, pool);
  REQUIRE(prepared.groups().size() == 1);
  REQUIRE(engine.unique_rows(prepared, 0).data() == engine.unique_rows(prepared, 1).data());
  const Column outside{"f", {50}, {}, 1};
  const IdColumnView outside_view = outside.view();
  REQUIRE_THROWS_WITH(engine.prepare({&outside_view, 1}, prepared, pool), Catch::Contains("table \"narrow\" with 50 rows"));
}

TEST_CASE("configurations that cannot work are refused") {
  ThreadPool pool(1);
  const auto make = [&](std::int64_t rows, std::int64_t dim, std::vector<LookupConfig> lookups, std::vector<BlockConfig> blocks) {
    const TableConfig table{.name = "big", .rows = rows, .dim = dim, .initializer = {}, .optimizer = {}};
    const TableConfig other{.name = "other", .rows = 10, .dim = 3, .initializer = {}, .optimizer = {}};
    const EmbeddingEngine engine({table, other}, std::move(lookups), std::move(blocks), 1, pool);
  };
  REQUIRE_THROWS_WITH(make(std::int64_t{1} << 31, 1, {}, {}), Catch::Contains("table \"big\" has 2147483648 rows"));
  REQUIRE_THROWS_AS(make(0, 4, {}, {}), ConfigError);
  REQUIRE_THROWS_AS(make(10, 0, {}, {}), ConfigError);
  REQUIRE_THROWS_AS(make(std::int64_t{1} << 30, std::int64_t{1} << 20, {}, {}), DeviceError);
  REQUIRE_THROWS_WITH(make(10, 4, {{2, 0, Pooling::kSum}}, {{{0}}}), Catch::Contains("reads table 2"));
  REQUIRE_THROWS_WITH(make(10, 4, {{0, 0, Pooling::kSum}}, {}), Catch::Contains("lookup 0 is in no block"));
  REQUIRE_THROWS_WITH(make(10, 4, {{0, 0, Pooling::kSum}}, {{{0}}, {{0}}}), Catch::Contains("second place"));
  REQUIRE_THROWS_WITH(make(10, 4, {{0, 0, Pooling::kSum}, {1, 0, Pooling::kSum}}, {{{0, 1}}}), Catch::Contains("needs one dim"));
  REQUIRE_THROWS_WITH(make(10, 3, {{0, 0, Pooling::kNone}, {1, 0, Pooling::kSum}}, {{{0, 1}}}), Catch::Contains("a block of its own"));
}

TEST_CASE("columns of one block must have the same samples, and every column must be there") {
  ThreadPool pool(1);
  const TableConfig table{.name = "t", .rows = 10, .dim = 2, .initializer = {}, .optimizer = {}};
  const EmbeddingEngine engine({table}, {{0, 0, Pooling::kSum}, {0, 1, Pooling::kSum}}, {{{0, 1}}}, 1, pool);
  const Column two{"two", {1, 2}, {}, 2};
  const Column three{"three", {1, 2, 3}, {}, 3};
  PreparedIds prepared;
  const IdColumnView views[] = {two.view(), three.view()};
  REQUIRE_THROWS_WITH(engine.prepare(views, prepared, pool), Catch::Contains("\"two\" has 2 samples, feature \"three\" 3"));
  REQUIRE_THROWS_AS(engine.prepare({views, 1}, prepared, pool), Error);
}

TEST_CASE("rows are padded to whole lines only where that is cheap") {
  REQUIRE(row_stride(1) == 1);
  REQUIRE(row_stride(3) == 4);
  REQUIRE(row_stride(9) == 16);
  REQUIRE(row_stride(16) == 16);
  REQUIRE(row_stride(17) == 20);
  REQUIRE(row_stride(65) == 68);
  REQUIRE(row_stride(129) == 144);
}
