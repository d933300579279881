#include "data/catalogue.h"

#include <cmath>
#include <numeric>

#include <catch2/catch.hpp>

#include "base/error.h"
#include "data/negative_sampler.h"
#include "data/statistics.h"
#include "fixture.h"

using namespace rechost;
using Catch::Matchers::Contains;

namespace {

/// Three users, items 100..103; item 103 is in the test split only, item 999 is unknown there.
struct Shop {
  Shop() {
    const auto bought = source(2);
    bought->ids("user", {0, 0, 1, 1, 0}, 3).of("user", true).ids("item", {100, 101, 100, 102, 100}).of("item", true);
    bought->dense("price", {1, 2, 3, 4, 5}).of("item").lists("tags", {{7}, {8, 9}, {}, {7, 7}, {9}}).of("item");
    bought->words("city", {"a", "b", "a", "b", "c"}).of("user").label("click", {1, 0, 1, 1, 1});
    const auto later = source(2);
    later->ids("user", {1, 2, 0, 1}, 3).of("user", true).ids("item", {101, 102, 999, 101}).of("item", true);
    later->dense("price", {20, 30, 40, 21}).of("item").lists("tags", {{9}, {}, {7}, {8}}).of("item");
    later->words("city", {"c", "c", "c", "c"}).of("user").label("click", {1, 0, 1, 1});
    prepared = fixture.prepare({{"train", bought}, {"test", later}});
  }
  DataFixture fixture;
  PreparedData prepared;
};

std::vector<std::string> keys(const Catalogue& catalogue) {
  std::vector<std::string> result;
  for (std::int64_t entry = 0; entry < catalogue.size(); ++entry) result.push_back(catalogue.key_text(entry));
  return result;
}

}  // namespace

TEST_CASE("a catalogue has every known entity once, with the values last seen") {
  const Shop shop;
  const Dataset* const splits[] = {shop.prepared.train.get(), shop.prepared.test.get()};
  const Catalogue items("item", splits);
  CHECK(keys(items) == std::vector<std::string>{"100", "101", "102"});  // by count; 999 is unknown and not there
  CHECK(std::vector<std::int64_t>(items.counts().begin(), items.counts().end()) == std::vector<std::int64_t>{3, 1, 1});
  CHECK(items.log_probabilities()[0] == Approx(std::log(3.0 / 5.0)));
  REQUIRE(items.schema().dense.size() == 1);
  REQUIRE(items.schema().sparse.size() == 2);
  CHECK(items.schema().labels.empty());

  Batch batch;
  items.fill(0, 3, batch);
  CHECK(batch.dense == std::vector<float>{5, 21, 30});
  const std::vector<std::int64_t> keys{items.key(0), items.key(1), items.key(2)};
  CHECK(batch.sparse[0].ids == std::vector<std::int32_t>(keys.begin(), keys.end()));
  CHECK(batch.sparse[1].offsets == std::vector<std::int64_t>{0, 1, 2, 2});
  items.fill(std::vector<std::int32_t>{2, 0, 2}, batch);
  CHECK(batch.dense == std::vector<float>{30, 5, 30});
  CHECK(batch.samples == std::vector<std::int64_t>{2, 0, 2});
  CHECK_THROWS_WITH(items.fill(2, 2, batch), Contains("no entry 3"));

  for (std::int64_t entry = 0; entry < items.size(); ++entry) CHECK(items.entry_of(items.key(entry)) == entry);
  CHECK(items.entry_of(Vocabulary::kUnknownRow) == -1);
  CHECK(Catalogue("user", splits).size() == 3);
  CHECK(Catalogue("user", std::span(splits).first(1)).size() == 2);
}

TEST_CASE("an entity without a key is refused") {
  const Shop shop;
  const Dataset* const splits[] = {shop.prepared.train.get()};
  CHECK_THROWS_WITH(Catalogue("shop", splits), Contains("no sparse feature is the key of \"shop\""));
}

TEST_CASE("seen items and ground truth by user") {
  const Shop shop;
  const Dataset* const splits[] = {shop.prepared.train.get(), shop.prepared.test.get()};
  const Catalogue users("user", splits);
  const Catalogue items("item", splits);
  const UserItems seen = collect_user_items(*shop.prepared.train, users, items, {});
  const auto list = [](std::span<const std::int32_t> part) { return std::vector<std::int32_t>(part.begin(), part.end()); };
  CHECK(list(seen.of(0)) == std::vector<std::int32_t>{0, 1});
  CHECK(list(seen.of(1)) == std::vector<std::int32_t>{0, 2});
  CHECK(seen.of(2).empty());
  const UserItems truth = collect_user_items(*shop.prepared.test, users, items, 0.5F);
  CHECK(truth.of(0).empty());
  CHECK(truth.unreachable == std::vector<std::int32_t>{1, 0, 0});
  CHECK(list(truth.of(1)) == std::vector<std::int32_t>{1});
  CHECK(truth.of(2).empty());
}

TEST_CASE("negatives are drawn in proportion to count^power, from seed, step and position alone") {
  const std::vector<std::int64_t> counts{100, 0, 1, 50, 400, 7};
  for (const double power : {0.0, 0.75, 1.0}) {
    const NegativeSampler sampler(counts, power, 4);
    std::vector<std::int32_t> drawn(400000);
    sampler.draw(3, 0, drawn);
    std::vector<double> share(counts.size(), 0.0);
    for (const std::int32_t entry : drawn) share[static_cast<std::size_t>(entry)] += 1.0 / static_cast<double>(drawn.size());
    double sum = 0.0;
    for (std::size_t i = 0; i < counts.size(); ++i) {
      const double expected = std::exp(static_cast<double>(sampler.log_probabilities()[i]));
      sum += expected;
      CHECK(share[i] == Approx(expected).margin(0.003));
      if (power > 0.0 && counts[i] == 0) CHECK(share[i] == 0.0);
    }
    CHECK(sum == Approx(1.0));
    std::vector<std::int32_t> part(1000);
    sampler.draw(3, 5000, part);
    CHECK(std::equal(part.begin(), part.end(), drawn.begin() + 5000));
    sampler.draw(4, 5000, part);
    CHECK_FALSE(std::equal(part.begin(), part.end(), drawn.begin() + 5000));
  }
  CHECK_THROWS_AS(NegativeSampler(std::vector<std::int64_t>{0, 0}, 0.5, 1), DataError);
  CHECK_THROWS_AS(NegativeSampler({}, 0.0, 1), DataError);
}

TEST_CASE("statistics tell rows, missing share, distinct values, range and top values") {
  const auto data = source(2);
  data->dense("price", {1.5F, std::nullopt, -2.0F, 1.5F, NAN, 0.0F}).words("city", {"b", "a", "b", std::nullopt, "a", "c"});
  data->lists("tags", {{1, 2}, {}, {2}, {2, 3, 4}, {}, {}}).label("click", {0, 1, 1, 0, 1, 1}).refuse(5, "price", "torn");
  for (const int threads : {1, 3}) {
    ThreadPool pool(threads);
    const SplitStatistics all = compute_statistics(*data, {}, pool);
    CHECK(all.declared_rows == 6);
    CHECK(all.rows == 5);
    CHECK(all.bad_rows == 1);
    CHECK(all.first_bad_rows.at(0).reason == "torn");
    const ColumnStatistics& price = all.columns[0];
    CHECK(price.missing == 1);
    CHECK(price.missing_share() == Approx(0.2));
    CHECK(price.not_finite == 1);
    CHECK(price.minimum == -2.0);
    CHECK(price.maximum == 1.5);
    CHECK(price.mean == Approx(1.0 / 3));
    CHECK(price.distinct == 2);
    CHECK(price.top_values.at(0) == std::pair<std::string, std::int64_t>{"1.5", 2});
    const ColumnStatistics& city = all.columns[1];
    CHECK(city.distinct == 2);
    CHECK(city.top_values.at(0) == std::pair<std::string, std::int64_t>{"a", 2});
    CHECK(city.top_values.at(1) == std::pair<std::string, std::int64_t>{"b", 2});
    const ColumnStatistics& tags = all.columns[2];
    CHECK(tags.elements == 6);
    CHECK(tags.longest_list == 3);
    CHECK(tags.top_values.at(0) == std::pair<std::string, std::int64_t>{"2", 3});
    CHECK(all.columns[3].mean == Approx(0.6));
  }
  ThreadPool pool(1);
  const SplitStatistics few = compute_statistics(*data, {.max_rows = 3, .distinct_limit = 1}, pool);
  CHECK(few.rows == 4);
  CHECK_FALSE(few.columns[1].distinct_is_exact);
  CHECK(few.columns[1].distinct == 1);
}
