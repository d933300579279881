// How values become numbers and rows: times, buckets, transforms, scaling, several hashes, lists. Each also from a saved vocabulary, as predict
// and eval use it.

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "core/folder.h"
#include "data/column_derivation.h"
#include "fixture.h"

using namespace rechost;
using Catch::Matchers::Contains;

namespace {

constexpr double kNoMemory = 1e-9;  // GiB: every chunk of a vocabulary goes to disk
constexpr std::int64_t kNoon = 1583064000;  // 2020-03-01T12:00:00Z, a Sunday

using Ids = std::vector<std::int32_t>;

std::vector<float> dense_column(const Batch& batch, std::size_t position, std::size_t columns) {
  std::vector<float> values;
  for (std::size_t row = 0; row < static_cast<std::size_t>(batch.rows); ++row) values.push_back(batch.dense[row * columns + position]);
  return values;
}

/// A list column as "1 2|3|": rows.
std::string rows_text(const IdColumn& column) {
  std::string text;
  for (std::size_t row = 0; row + 1 < column.offsets.size(); ++row) {
    for (std::int64_t i = column.offsets[row]; i < column.offsets[row + 1]; ++i) {
      text += (i > column.offsets[row] ? " " : "") + std::to_string(column.ids[static_cast<std::size_t>(i)]);
    }
    text += "|";
  }
  return text;
}

/// A fixture whose features use every encoder, and data for it.
DataFixture every_encoder() {
  DataFixture fixture;
  fixture.features["hour"] = {.source = "time", .extract = "hour_of_day"};
  fixture.features["age"] = {.source = "time", .extract = "age", .since = "2020-01-01", .clip = {0.0, 90.0}, .scale = "min_max"};
  fixture.features["price"] = {.transform = "signed_log", .scale = "standardise"};
  fixture.features["price_bucket"] = {.source = "price", .encoder = "bucket", .buckets = 7};
  fixture.features["user"] = {.encoder = "hash", .hash_rows = 50, .hashes = 3, .salt = "other"};
  fixture.features["history"] = {.max_length = 3, .keep = "first", .padding = "front"};
  fixture.features["city"] = {.min_count = 2};
  return fixture;
}

std::shared_ptr<MemorySource> every_column(std::size_t rows, std::int64_t rows_per_chunk, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto below = [&](std::uint64_t n) { return static_cast<std::int64_t>(random() % n); };
  MemorySource::Values<std::int64_t> time;
  MemorySource::Values<float> price;
  MemorySource::Values<std::int64_t> user;
  MemorySource::Values<std::string> city;
  std::vector<std::vector<std::int64_t>> history;
  for (std::size_t row = 0; row < rows; ++row) {
    time.push_back(below(9) == 0 ? std::nullopt : std::optional<std::int64_t>(kNoon + below(200) * 50000));
    price.push_back(below(9) == 0 ? std::nullopt : std::optional<float>(static_cast<float>(below(1000) - 300) / 8));
    user.push_back(below(9) == 0 ? std::nullopt : std::optional<std::int64_t>(below(400)));
    city.push_back(below(9) == 0 ? std::nullopt : std::optional<std::string>("city " + std::to_string(below(30))));
    history.emplace_back();
    for (std::int64_t n = below(6); n > 0; --n) history.back().push_back(below(40));
  }
  auto made = source(rows_per_chunk);
  made->ids("time", time).as(ColumnRole::kTime);
  made->dense("price", price).ids("user", user).words("city", city).lists("history", history);
  return made;
}

}  // namespace

TEST_CASE("texts of times are read, and what is none is not") {
  CHECK(parse_time("1970-01-01") == 0.0);
  CHECK(parse_time("2020-03-01T12:00:00Z") == static_cast<double>(kNoon));
  CHECK(parse_time("2020-03-01 12:00") == static_cast<double>(kNoon));
  CHECK(parse_time("2020-03-01T12:00:00.250") == static_cast<double>(kNoon) + 0.25);
  CHECK(parse_time("2020-03-01T14:30:00+02:30") == static_cast<double>(kNoon));
  CHECK(parse_time("2020-03-01T07:00:00-05") == static_cast<double>(kNoon));
  CHECK(parse_time("2020-02-29") == static_cast<double>(kNoon) - 1.5 * 86400.0);
  CHECK(parse_time("0001-01-01") == -62135596800.0);
  for (const char* const text : {"", "2020", "2020-3-1", "2021-02-29", "2020-13-01", "2020-03-01T", "2020-03-01T25:00", "2020-03-01T12", "-020-03-01",
                                 "2020-03-01T12:00:00.", "2020-03-01T12:00:00X", "2020-03-01T12:00:00Z ", "2020-03-01T12:00+15:00", "2020-03-01T1-:00",
                                 "2020-03-01 noon", "1583064000"}) {
    INFO(text);
    CHECK_FALSE(parse_time(text));
  }
}

TEST_CASE("keys of numbers compare as the numbers do") {
  std::mt19937_64 random(4);
  std::vector<double> numbers{0.0, 1.0, -1.0, std::numeric_limits<double>::denorm_min(), -std::numeric_limits<double>::denorm_min(),
                              std::numeric_limits<double>::max(), std::numeric_limits<double>::lowest(), std::numeric_limits<double>::infinity()};
  for (int i = 0; i < 300; ++i) numbers.push_back(std::ldexp(static_cast<double>(static_cast<std::int64_t>(random())), static_cast<int>(random() % 100) - 80));
  for (const double left : numbers) {
    CHECK(value_of_order_key(order_key(left)) == left);
    for (const double right : numbers) REQUIRE((order_key(left) < order_key(right)) == (left < right));
  }
  CHECK(order_key(-0.0) == order_key(0.0));
}

TEST_CASE("one column of times gives several features, in seconds, milliseconds and text alike") {
  const auto numbers = [](std::int64_t scale) {
    return MemorySource::Values<std::int64_t>{kNoon * scale, std::nullopt, (kNoon - 1583064000) * scale, -1 * scale, (kNoon + 11 * 3600 + 3599) * scale};
  };
  const auto seconds = source(2);
  seconds->ids("time", numbers(1)).as(ColumnRole::kTime);
  const auto milliseconds = source(2);
  milliseconds->ids("time", numbers(1000)).as(ColumnRole::kTime);
  const auto text = source(2);
  text->words("time", {"2020-03-01T12:00:00Z", std::nullopt, "1970-01-01", "1969-12-31 23:59:59", "2020-03-02T01:59:59+02:00"}).as(ColumnRole::kTime);
  DataFixture fixture;
  fixture.features["a_hour"] = {.source = "time", .extract = "hour_of_day"};
  fixture.features["b_weekday"] = {.source = "time", .extract = "day_of_week"};
  fixture.features["c_day"] = {.source = "time", .extract = "day_of_month"};
  fixture.features["d_month"] = {.source = "time", .extract = "month"};
  fixture.features["e_age"] = {.source = "time", .extract = "age", .since = "2020-02-29T12:00Z", .default_value = -7.0};
  fixture.features["f_hour_number"] = {.kind = "dense", .source = "time", .extract = "hour_of_day"};
  for (const auto& data : {seconds, milliseconds, text}) {
    for (auto& [name, section] : fixture.features) section.time_unit = data == milliseconds ? "milliseconds" : "";
    const PreparedData prepared = fixture.prepare("train", data);
    const Batch batch = all_rows(*prepared.train);
    REQUIRE(batch.sparse.size() == 4);
    CHECK(batch.sparse[0].ids == Ids{12, 24, 0, 23, 23});
    CHECK(batch.sparse[1].ids == Ids{6, 7, 3, 2, 6});  // Monday is 0
    CHECK(batch.sparse[2].ids == Ids{0, 31, 0, 30, 0});
    CHECK(batch.sparse[3].ids == Ids{2, 12, 0, 11, 2});
    const std::vector<float> age = dense_column(batch, 0, 2);
    CHECK(age[0] == 1.0F);
    CHECK(age[1] == -7.0F);
    CHECK(age[2] == static_cast<float>(1.0 - 1583064000 / 86400.0));
    CHECK(dense_column(batch, 1, 2) == std::vector<float>{12, 0, 0, 23, 23});
    CHECK(prepared.vocabularies->at("a_hour").rows() == 25);
  }
}

TEST_CASE("what is no time is a bad row") {
  DataFixture fixture;
  fixture.features["hour"] = {.source = "time", .extract = "hour_of_day"};
  const auto text = source();
  text->words("time", {"2020-03-01", "yesterday"}).as(ColumnRole::kTime);
  CHECK_THROWS_WITH(fixture.prepare("train", text), Contains("row 1") && Contains("\"hour\"") && Contains("\"yesterday\" is not a time"));
  const auto number = source();
  number->ids("time", {kNoon * 1000}).as(ColumnRole::kTime);
  CHECK_THROWS_WITH(fixture.prepare("train", number), Contains("1583064000000 is not a time in seconds of the years 1 to 9999"));
  fixture.data.bad_rows = "skip";
  CHECK(fixture.prepare("train", text).train->samples() == 1);
}

TEST_CASE("given boundaries cut numbers into buckets, a boundary belongs to the one above") {
  DataFixture fixture;
  fixture.features["price"] = {.encoder = "bucket", .boundaries = {-1.5, 0.0, 10.0}};
  const auto data = source(2);
  data->dense("price", {-2.0F, -1.5F, -0.0F, 9.99F, 10.0F, 1e30F, std::nullopt});
  const PreparedData prepared = fixture.prepare("train", data);
  CHECK(all_rows(*prepared.train).sparse[0].ids == Ids{0, 1, 2, 2, 3, 3, 4});
  const Vocabulary& price = prepared.vocabularies->at("price");
  CHECK(price.rows() == 5);
  CHECK(price.counts().all() == std::vector<std::int64_t>{1, 1, 2, 2, 1});
  CHECK(price.value_text(0) == "(-inf, -1.5)");
  CHECK(price.value_text(1) == "[-1.5, 0)");
  CHECK(price.value_text(3) == "[10, inf)");
  CHECK(price.value_text(4) == "<missing>");
  const auto broken = source();
  broken->dense("price", {1.0F, std::numeric_limits<float>::quiet_NaN()});
  CHECK_THROWS_WITH(fixture.prepare("train", broken), Contains("row 1") && Contains("\"price\"") && Contains("is not a finite number"));
}

TEST_CASE("learnt buckets hold equal shares of the training rows, from memory and from disk") {
  const std::uint64_t seed = 21;
  std::mt19937_64 random(seed);
  MemorySource::Values<float> values;
  for (int row = 0; row < 4000; ++row) {
    // Half of them tied at a few values, some missing, the rest spread.
    const auto draw = random() % 100;
    values.push_back(draw < 5    ? std::nullopt
                     : draw < 50 ? std::optional<float>(static_cast<float>(random() % 5))
                                 : std::optional<float>(static_cast<float>(static_cast<std::int64_t>(random() % 100000) - 50000) / 64));
  }
  DataFixture fixture;
  fixture.data.split.valid = 0.25;
  fixture.features["price"] = {.encoder = "bucket", .buckets = 10};
  std::vector<float> training;
  for (std::size_t row = 0; row < 3000; ++row) {
    if (values[row]) training.push_back(*values[row]);
  }
  std::sort(training.begin(), training.end());
  std::vector<double> boundaries;
  std::size_t share = 0;
  for (std::size_t i = 0; i < training.size(); ++i) {
    if (i > 0 && training[i] == training[i - 1]) continue;
    const std::size_t own = i * 10 / training.size();
    if (own > share) boundaries.push_back(static_cast<double>(training[i]));
    share = own;
  }
  REQUIRE(boundaries.size() >= 6);
  for (const auto& [limit, memory, threads] : std::vector<std::tuple<double, double, int>>{{1.0, 4.0, 1}, {1.0, 4.0, 3}, {kNoMemory, 4.0, 1}, {1e-5, 4.0, 3}, {kNoMemory, 1e-7, 1}}) {
    INFO("seed " << seed << ", limit " << limit << ", memory " << memory << ", threads " << threads);
    fixture.data.vocabulary_memory_gib = limit;
    fixture.data.memory_gib = memory;
    fixture.data.shuffle = "none";
    fixture.threads = threads;
    const auto data = source(97);
    data->dense("price", values);
    const PreparedData prepared = fixture.prepare("all", data);
    const Vocabulary& price = prepared.vocabularies->at("price");
    REQUIRE(price.encoding().boundaries == boundaries);
    std::vector<std::int64_t> counts(static_cast<std::size_t>(price.rows()), 0);
    std::size_t row = 0;
    for (const Dataset* split : {prepared.train.get(), prepared.valid.get()}) {
      const Batch batch = all_rows(*split);
      for (const std::int32_t id : batch.sparse[0].ids) {
        const auto expected = !values[row] ? static_cast<std::int32_t>(boundaries.size()) + 1
                                           : static_cast<std::int32_t>(std::upper_bound(boundaries.begin(), boundaries.end(), static_cast<double>(*values[row])) - boundaries.begin());
        REQUIRE(id == expected);
        if (split == prepared.train.get()) ++counts[static_cast<std::size_t>(id)];
        ++row;
      }
    }
    CHECK(row == 4000);
    CHECK(price.counts().all() == counts);
  }
}

TEST_CASE("dense values are clipped, then transformed; a missing one is the default") {
  const std::vector<float> values{-100.0F, -1.0F, 0.0F, 1.0F, 2.0F, 3.0F, 50.0F, 1e6F};
  MemorySource::Values<float> given(values.begin(), values.end());
  given.push_back(std::nullopt);
  const auto encoded = [&](FeatureSection section) {
    DataFixture fixture;
    section.default_value = 9.0;
    fixture.features["x"] = section;
    const auto data = source(3);
    data->dense("x", given);
    return all_rows(*fixture.prepare("train", data).train).dense;
  };
  const auto expected = [&](auto&& formula) {
    std::vector<float> result;
    for (const float value : values) result.push_back(static_cast<float>(formula(static_cast<double>(value))));
    result.push_back(9.0F);
    return result;
  };
  CHECK(encoded({.clip = {-2.0, 40.0}}) == expected([](double x) { return std::min(std::max(x, -2.0), 40.0); }));
  CHECK(encoded({.transform = "signed_log"}) == expected([](double x) { return (x < 0 ? -1.0 : 1.0) * std::log1p(std::abs(x)); }));
  CHECK(encoded({.transform = "log_square"}) == expected([](double x) { return x > 2.0 ? std::floor(std::log(x) * std::log(x)) : x; }));
  CHECK(encoded({.clip = {-2.0, 40.0}, .transform = "signed_log"}) ==
        expected([](double x) { return (x < 0 ? -1.0 : 1.0) * std::log1p(std::abs(std::min(std::max(x, -2.0), 40.0))); }));
  const std::vector<float> log1p = encoded({.clip = {0.0, 40.0}, .transform = "log1p"});
  for (std::size_t i = 0; i < values.size(); ++i) CHECK(log1p[i] == Approx(std::log1p(std::clamp(values[i], 0.0F, 40.0F))));
}

TEST_CASE("scaled values have mean 0 and deviation 1, or lie in [0, 1]; the rest of the data is scaled alike") {
  std::mt19937_64 random(31);
  MemorySource::Values<float> values;
  for (int row = 0; row < 2000; ++row) {
    values.push_back(random() % 10 == 0 ? std::nullopt : std::optional<float>(1e6F + static_cast<float>(random() % 1000)));
  }
  for (const char* const scale : {"standardise", "min_max"}) {
    DataFixture fixture;
    fixture.data.split.valid = 0.5;
    fixture.features["x"] = {.scale = scale, .default_value = 0.25};
    const auto data = source(64);
    data->dense("x", values);
    const PreparedData prepared = fixture.prepare("all", data);
    const std::vector<float> train = all_rows(*prepared.train).dense;
    double count = 0;
    double sum = 0;
    double least = 1e9;
    double most = -1e9;
    for (std::size_t row = 0; row < 1000; ++row) {
      if (!values[row]) {
        REQUIRE(train[row] == 0.25F);
        continue;
      }
      count += 1;
      sum += static_cast<double>(*values[row]);
      least = std::min(least, static_cast<double>(*values[row]));
      most = std::max(most, static_cast<double>(*values[row]));
    }
    double squares = 0;
    for (std::size_t row = 0; row < 1000; ++row) squares += values[row] ? std::pow(static_cast<double>(*values[row]) - sum / count, 2) : 0.0;
    const bool standardise = std::string(scale) == "standardise";
    const double offset = standardise ? sum / count : least;
    const double width = standardise ? std::sqrt(squares / count) : most - least;
    const std::vector<float> valid = all_rows(*prepared.valid).dense;
    for (std::size_t row = 0; row < 2000; ++row) {
      if (!values[row]) continue;
      REQUIRE((row < 1000 ? train[row] : valid[row - 1000]) == Approx((static_cast<double>(*values[row]) - offset) / width).margin(1e-6));
    }
    for (const auto& [threads, memory] : std::vector<std::pair<int, double>>{{3, 4.0}, {2, 1e-7}}) {
      fixture.threads = threads;
      fixture.data.memory_gib = memory;
      fixture.data.shuffle = "none";
      const PreparedData again = fixture.prepare("all", data);
      CHECK(again.train->resident() == (memory > 1.0));
      CHECK(all_rows(*again.train).dense == train);  // the same bits
      CHECK(all_rows(*again.valid).dense == valid);
    }
  }
}

TEST_CASE("a constant column and one without values are scaled to 0 and to the default") {
  DataFixture fixture;
  fixture.features["x"] = {.scale = "standardise", .default_value = 3.0};
  fixture.features["y"] = {.scale = "min_max"};
  const auto data = source();
  data->dense("x", {std::nullopt, std::nullopt}).dense("y", {5.0F, 5.0F});
  CHECK(all_rows(*fixture.prepare("train", data).train).dense == std::vector<float>{3, 0, 3, 0});
}

TEST_CASE("hashes are the same on every machine, and another salt scatters values otherwise") {
  DataFixture fixture;
  fixture.features["user"] = {.encoder = "hash", .hash_rows = 1000000};
  fixture.features["word"] = {.encoder = "hash", .hash_rows = 1000000, .salt = "pepper"};
  const auto data = source();
  data->ids("user", {1, 2, -3}).words("word", {"a", "", "longer than eight bytes"});
  const Batch batch = all_rows(*fixture.prepare("train", data).train);
  CHECK(batch.sparse[0].ids == Ids{233816, 547397, 994683});
  CHECK(batch.sparse[1].ids == Ids{674913, 327751, 916903});
  fixture.features["user"].salt = "pepper";
  CHECK(all_rows(*fixture.prepare("train", data).train).sparse[0].ids != batch.sparse[0].ids);
  fixture.features["word"].salt = "";
  CHECK(all_rows(*fixture.prepare("train", data).train).sparse[1].ids != batch.sparse[1].ids);
}

TEST_CASE("with several hashes a value has so many rows, which are summed; the first is that of one hash") {
  DataFixture fixture;
  fixture.features["user"] = {.encoder = "hash", .hash_rows = 1000};
  fixture.features["history"] = {.encoder = "hash", .hash_rows = 1000, .max_length = 2};
  MemorySource::Values<std::int64_t> users{5, std::nullopt, 6, 5};
  const auto data = source(3);
  data->ids("user", users).lists("history", {{}, {7}, {8, 9, 7}, {5}});
  const Batch one = all_rows(*fixture.prepare("train", data).train);
  fixture.features["user"].hashes = 3;
  fixture.features["history"].hashes = 2;
  const PreparedData prepared = fixture.prepare("train", data);
  const Batch several = all_rows(*prepared.train);
  const BatchSchema& schema = prepared.train->schema();
  CHECK(schema.sparse[0].is_list);
  CHECK(schema.sparse[0].max_length == 3);
  CHECK(schema.sparse[0].pooling == FeatureInfo::Pooling::kSum);
  CHECK(schema.sparse[1].max_length == 4);
  CHECK(several.sparse[0].offsets == std::vector<std::int64_t>{0, 3, 6, 9, 12});
  CHECK(several.sparse[1].offsets == std::vector<std::int64_t>{0, 0, 2, 6, 8});
  for (std::size_t row = 0; row < 4; ++row) {
    CHECK(several.sparse[0].ids[3 * row] == one.sparse[0].ids[row]);
    const std::set<std::int32_t> rows(several.sparse[0].ids.begin() + static_cast<std::ptrdiff_t>(3 * row),
                                      several.sparse[0].ids.begin() + static_cast<std::ptrdiff_t>(3 * row + 3));
    CHECK(rows.size() == (users[row] ? 3 : 1));
    if (!users[row]) CHECK(*rows.begin() == 1000);
  }
  CHECK(several.sparse[1].ids[4] == several.sparse[1].ids[0]);  // 7 again
  const Vocabulary& user = prepared.vocabularies->at("user");
  CHECK(user.counts()[several.sparse[0].ids[1]] == 2);
  CHECK(user.counts()[1000] == 1);
}

TEST_CASE("two values that share one row seldom share all") {
  DataFixture fixture;
  fixture.features["user"] = {.encoder = "hash", .hash_rows = 500, .hashes = 2};
  MemorySource::Values<std::int64_t> users;
  for (std::int64_t user = 0; user < 1000; ++user) users.push_back(user);
  const auto data = source(100);
  data->ids("user", users);
  const Batch batch = all_rows(*fixture.prepare("train", data).train);
  std::set<std::pair<std::int32_t, std::int32_t>> pairs;
  for (std::size_t row = 0; row < 1000; ++row) pairs.emplace(batch.sparse[0].ids[2 * row], batch.sparse[0].ids[2 * row + 1]);
  CHECK(pairs.size() > 980);  // 998 expected; with one hash there would be at most 500
}

TEST_CASE("long lists keep their first or last ids, short ones are padded with the row for missing values") {
  const auto encoded = [](FeatureSection section, double limit) {
    DataFixture fixture;
    fixture.features["history"] = section;
    fixture.data.vocabulary_memory_gib = limit;
    const auto data = source(2);
    data->lists("history", {{1, 2, 3, 4}, {}, {2, 1}, {4}, {3, 2, 1}});
    const PreparedData prepared = fixture.prepare("train", data);
    const Batch batch = all_rows(*prepared.train);
    return batch.sparse[0].offsets.empty() ? fmt::format("{}", fmt::join(batch.sparse[0].ids, " ")) : list_text(*prepared.train, batch, 0);
  };
  for (const double limit : {1.0, kNoMemory}) {
    CHECK(encoded({.max_length = 3}, limit) == "2 3 4||2 1|4|3 2 1|");
    CHECK(encoded({.max_length = 3, .keep = "first"}, limit) == "1 2 3||2 1|4|3 2 1|");
    CHECK(encoded({.max_length = 3, .padding = "front"}, limit) ==
          "2 3 4|<missing> <missing> <missing>|<missing> 2 1|<missing> <missing> 4|3 2 1|");
    CHECK(encoded({.max_length = 3, .keep = "first", .padding = "back"}, limit) ==
          "1 2 3|<missing> <missing> <missing>|2 1 <missing>|4 <missing> <missing>|3 2 1|");
  }
  // One id: 1 occurs three times, then by value. Rows 2, 3, ...
  CHECK(encoded({.max_length = 1, .keep = "first"}, 1.0) == "2 1 3 5 4");
}

TEST_CASE("padding and hashes go together") {
  DataFixture fixture;
  fixture.features["history"] = {.encoder = "hash", .hash_rows = 10, .hashes = 2, .max_length = 2, .padding = "back"};
  const auto data = source();
  data->lists("history", {{}, {1}, {1, 2, 3}});
  const Batch batch = all_rows(*fixture.prepare("train", data).train);
  CHECK(batch.sparse[0].offsets == std::vector<std::int64_t>{0, 4, 8, 12});
  CHECK(rows_text(batch.sparse[0]).starts_with("10 10 10 10|"));
  CHECK(batch.sparse[0].ids[6] == 10);
  CHECK(batch.sparse[0].ids[11] != 10);
}

TEST_CASE("ids of a list have the weights that stand in their places, whatever is cut off, filled up or hashed") {
  const auto data = source(2);
  data->lists("history", {{1, 2, 3}, {}, {2, 1}, {4}}).number_lists("watched", {{0.5F, -1.0F, 2.0F}, {}, {3.0F, 0.25F}, {8.0F}});
  const auto weights = [&](FeatureSection section, double limit = 4.0) {
    DataFixture fixture;
    fixture.data.memory_gib = limit;
    fixture.data.shuffle = "none";
    section.weights = "watched";
    fixture.features["history"] = section;
    const PreparedData prepared = fixture.prepare("train", data);
    const BatchSchema& schema = prepared.train->schema();
    CHECK(schema.dense.empty());
    CHECK(schema.sparse.size() == 1);
    CHECK(schema.sparse[0].pooling == FeatureInfo::Pooling::kSum);
    Batch batch;
    batch.sparse.resize(1);
    batch.sparse[0].weights = {7.0F};  // of an earlier batch
    prepared.train->gather(std::vector<std::int64_t>{0, 1, 2, 3}, batch);
    CHECK(batch.sparse[0].ids.size() == batch.sparse[0].weights.size());
    return batch.sparse[0].weights;
  };
  CHECK(weights({}) == std::vector<float>{0.5F, -1.0F, 2.0F, 3.0F, 0.25F, 8.0F});
  CHECK(weights({}, 0.0) == std::vector<float>{0.5F, -1.0F, 2.0F, 3.0F, 0.25F, 8.0F});
  CHECK(weights({.max_length = 2}) == std::vector<float>{-1.0F, 2.0F, 3.0F, 0.25F, 8.0F});
  CHECK(weights({.max_length = 2, .keep = "first"}) == std::vector<float>{0.5F, -1.0F, 3.0F, 0.25F, 8.0F});
  CHECK(weights({.max_length = 2, .padding = "front"}) == std::vector<float>{-1.0F, 2.0F, 0.0F, 0.0F, 3.0F, 0.25F, 0.0F, 8.0F});
  CHECK(weights({.encoder = "hash", .hash_rows = 50, .hashes = 2, .max_length = 1 + 1}) ==
        std::vector<float>{-1.0F, -1.0F, 2.0F, 2.0F, 3.0F, 3.0F, 0.25F, 0.25F, 8.0F, 8.0F});
}

TEST_CASE("weights that do not fit their ids make a row bad") {
  const auto data = source(8);
  data->lists("history", {{1, 2}, {3}, {4}, {}}).number_lists("watched", {{0.5F, 1.0F}, {1.0F, 2.0F}, {std::numeric_limits<float>::infinity()}, {1.0F}});
  DataFixture fixture;
  fixture.features["history"].weights = "watched";
  REQUIRE_THROWS_WITH(fixture.prepare("train", data), Contains("watched") && Contains("2 weights for the 1 ids of \"history\""));
  fixture.data.bad_rows = "skip";
  const PreparedData prepared = fixture.prepare("train", data);
  CHECK(prepared.train->samples() == 1);
}

TEST_CASE("values of dynamic features are keys of 64 bits, and no vocabulary is counted") {
  const auto key_texts = [](const Vocabulary& vocabulary, const IdColumn& column) {
    std::string text;
    for (std::size_t row = 0; row + 1 < column.offsets.size(); ++row) {
      for (std::int64_t i = column.offsets[row]; i < column.offsets[row + 1]; i += kIdsPerKey) {
        const std::int64_t key = key_of_ids(column.ids.data() + i);
        text += (i > column.offsets[row] ? " " : "") + (key == kMissingKey ? std::string("<missing>") : vocabulary.key_text(key));
      }
      text += "|";
    }
    return text;
  };
  const std::int64_t large = std::int64_t{1} << 62;
  const auto data = source(2);
  data->ids("user", {-3, std::nullopt, large}).words("city", {"a", "b", "a"}).lists("history", {{}, {large, 1}, {3, 2, 1}}).lists("last", {{5, 6}, {}, {7}});
  DataFixture fixture;
  fixture.features["user"] = {.encoder = "dynamic", .max_rows = 5};
  fixture.features["city"] = {.encoder = "dynamic", .min_count = 2, .max_rows = 7, .admit_probability = 0.5, .evict = "frequency"};
  fixture.features["history"] = {.encoder = "dynamic", .max_rows = 5, .max_length = 2, .padding = "front"};
  fixture.features["last"] = {.encoder = "dynamic", .max_rows = 5, .max_length = 1};
  const PreparedData prepared = fixture.prepare("train", data);
  const Batch batch = all_rows(*prepared.train);
  const BatchSchema& schema = prepared.train->schema();
  const Vocabulary& user = prepared.vocabularies->at("user");
  CHECK(schema.sparse[0].dynamic);
  CHECK_FALSE(schema.sparse[0].is_list);
  CHECK(schema.sparse[0].max_length == 1);
  CHECK(schema.sparse[2].is_list);
  CHECK(schema.sparse[2].max_length == 2);
  CHECK_FALSE(schema.sparse[3].is_list);
  CHECK(user.rows() == 7);
  CHECK(user.counts().size() == 0);
  CHECK(key_texts(user, batch.sparse[0]) == "-3|<missing>|4611686018427387904|");
  CHECK(key_texts(user, batch.sparse[2]) == "<missing> <missing>|4611686018427387904 1|2 1|");
  CHECK(key_texts(user, batch.sparse[3]) == "6|<missing>|7|");
  // Strings: by a hash that the salt alone decides, and that a saved vocabulary makes again.
  const std::string cities = key_texts(prepared.vocabularies->at("city"), batch.sparse[1]);
  CHECK(cities.starts_with("<key "));
  const test::Folder folder;
  prepared.vocabularies->save(folder.path());
  const Vocabularies loaded = Vocabularies::load(folder.path());
  const Vocabulary& city = loaded.at("city");
  CHECK(fmt::format("{0}|{1}|{0}|", city.key_text(city.key("a")), city.key_text(city.key("b"))) == cities);
  CHECK(city.encoding().min_count == 2);
  CHECK(city.encoding().admit_probability == 0.5);
  CHECK(city.encoding().evict == EvictionRule::kFrequency);
  CHECK(city.rows() == 9);
  fixture.features["city"].salt = "pepper";
  CHECK(key_texts(city, all_rows(*fixture.prepare("train", data).train).sparse[1]) != cities);
}

TEST_CASE("the id that stands for a missing value is a bad row of a dynamic feature") {
  const auto data = source();
  data->ids("user", {1, kMissingKey});
  DataFixture fixture;
  fixture.features["user"] = {.encoder = "dynamic", .max_rows = 5};
  CHECK_THROWS_WITH(fixture.prepare("train", data), Contains("stands for a missing value in dynamic tables"));
}

TEST_CASE("a raw row is encoded by what was saved as it was in training, whatever the threads, memory and disk") {
  const std::uint64_t seed = 41;
  const auto data = every_column(1500, 50, seed);
  DataFixture fixture = every_encoder();
  fixture.data.shuffle = "none";
  const PreparedData trained = fixture.prepare("train", data);
  const Batch expected = all_rows(*trained.train);
  for (const auto& [threads, memory, limit] : std::vector<std::tuple<int, double, double>>{{3, 4.0, 1.0}, {1, 1e-7, 1.0}, {2, 4.0, kNoMemory}, {2, 1e-7, 2e-5}}) {
    INFO("seed " << seed << ", threads " << threads << ", memory " << memory << ", limit " << limit);
    fixture.threads = threads;
    fixture.data.memory_gib = memory;
    fixture.data.vocabulary_memory_gib = limit;
    REQUIRE(equal(all_rows(*fixture.prepare("train", data).train), expected));
  }
  const test::Folder folder;
  trained.vocabularies->save(folder.path());
  fixture.vocabularies = std::make_shared<Vocabularies>(Vocabularies::load(folder.path()));
  // A part of the rows, so that nothing could have been learnt from them.
  const auto few = every_column(40, 7, seed);
  const PreparedData predicted = fixture.prepare("train", few);
  const Batch found = all_rows(*predicted.train);
  Batch first;
  trained.train->gather_range(0, 40, first);
  CHECK(equal(found, first));
}

TEST_CASE("a model's data are refused when their features changed since") {
  const auto data = every_column(300, 50, 1);
  DataFixture fixture = every_encoder();
  fixture.vocabularies = fixture.prepare("train", data).vocabularies;
  const auto refusal = [&](const char* feature, const FeatureSection& section) {
    DataFixture changed = fixture;
    changed.features[feature] = section;
    try {
      changed.prepare("train", data);
    } catch (const DataError& error) {
      return std::string(error.what());
    }
    return std::string("taken");
  };
  CHECK_THAT(refusal("user", {.encoder = "hash", .hash_rows = 50, .hashes = 3}), Contains("\"user\"") && Contains("salt"));
  CHECK_THAT(refusal("user", {.encoder = "hash", .hash_rows = 50, .hashes = 2, .salt = "other"}), Contains("\"user\"") && Contains("hashes"));
  CHECK_THAT(refusal("price_bucket", {.source = "price", .encoder = "bucket", .boundaries = {1.0}}), Contains("boundaries"));
  CHECK_THAT(refusal("price", {.transform = "signed_log", .scale = "min_max"}), Contains("\"price\"") && Contains("min_max") && Contains("not learnt"));
  // The same times may be written otherwise: the hour is the same.
  const auto text = source();
  text->words("time", {"2020-03-01T07:15"}).as(ColumnRole::kTime);
  text->dense("price", {1.0F}).ids("user", {1}).words("city", {"a"}).lists("history", {{}});
  const PreparedData prepared = fixture.prepare("train", text);
  CHECK(texts(*prepared.train, all_rows(*prepared.train), prepared.train->schema().sparse.size() - 2) == std::vector<std::string>{"7"});
}

TEST_CASE("each misuse of an encoder's key is one error that names feature, key and remedy") {
  const auto data = source();
  data->ids("time", {kNoon}).as(ColumnRole::kTime);
  data->dense("price", {1.0F}).ids("user", {1}).words("city", {"a"}).lists("history", {{1}}).label("click", {1.0F});
  data->number_lists("watched", {{1.0F}});
  const std::vector<std::tuple<std::string, FeatureSection, std::string>> cases{
      {"history", {.weights = "wached"}, "no such column (did you mean \"watched\"?)"},
      {"history", {.weights = "price"}, "does not hold lists of numbers"},
      {"history", {.pooling = "mean", .weights = "watched"}, "rows with weights are summed up"},
      {"history", {.weights = "watched", .max_length = 1}, "there is one id, which counts 1"},
      {"user", {.weights = "watched"}, "holds no lists"},
      {"price", {.weights = "watched"}, "features.price.weights has no effect"},
      {"hour", {.source = "tiem", .extract = "hour_of_day"}, "no such column (did you mean \"time\"?)"},
      {"leak", {.kind = "dense", .source = "click"}, "is a label"},
      {"user", {.source = "time"}, "has a column \"user\" itself"},
      {"copy", {.source = "time"}, "set kind"},
      {"hour", {.source = "history", .extract = "month"}, "lists, not times"},
      {"hour", {.source = "time", .extract = "month", .time_unit = "text"}, "holds numbers"},
      {"hour", {.source = "city", .extract = "month", .time_unit = "seconds"}, "holds strings"},
      {"age", {.source = "time", .extract = "age"}, "features.age.since = \"\""},
      {"age", {.source = "time", .extract = "age", .since = "Easter"}, "Easter"},
      {"hour", {.source = "time", .extract = "month", .since = "2020-01-01"}, "features.hour.since has no effect"},
      {"user", {.since = "2020-01-01"}, "features.user.since has no effect"},
      {"user", {.time_unit = "seconds"}, "features.user.time_unit has no effect"},
      {"price", {.encoder = "bucket"}, "either boundaries"},
      {"price", {.encoder = "bucket", .boundaries = {1.0}, .buckets = 4}, "either boundaries"},
      {"price", {.encoder = "bucket", .boundaries = {1.0, 1.0}}, "1 comes after 1"},
      {"price", {.encoder = "bucket", .buckets = 1}, "set 2 or more"},
      {"price", {.kind = "dense", .encoder = "bucket", .buckets = 4}, "leave kind out"},
      {"city", {.encoder = "bucket", .buckets = 4}, "holds strings"},
      {"price", {.buckets = 4}, "features.price.buckets has no effect"},
      {"price", {.boundaries = {1.0}}, "features.price.boundaries has no effect"},
      {"price", {.encoder = "bucket", .buckets = 4, .min_count = 2}, "min_count and max_rows have no effect"},
      {"price", {.clip = {1.0}}, "two numbers"},
      {"price", {.clip = {2.0, 1.0}}, "two numbers"},
      {"user", {.clip = {1.0, 2.0}}, "features.user.clip has no effect"},
      {"user", {.scale = "min_max"}, "features.user.scale has no effect"},
      {"user", {.transform = "signed_log"}, "is for dense features"},
      {"user", {.hashes = 2}, "features.user.hashes has no effect"},
      {"user", {.salt = "a"}, "features.user.salt has no effect"},
      {"price", {.salt = "a"}, "features.price.salt has no effect"},
      {"price", {.hashes = 2}, "features.price.hashes has no effect"},
      {"user", {.encoder = "hash", .hash_rows = 9, .hashes = 2, .pooling = "none"}, "would take them for a sequence"},
      {"user", {.encoder = "dynamic"}, "needs max_rows"},
      {"user", {.encoder = "dynamic", .max_rows = 5, .admit_probability = 0.0}, "no key would ever have a row"},
      {"user", {.encoder = "dynamic", .hashes = 2, .max_rows = 5}, "features.user.hashes has no effect"},
      {"user", {.encoder = "dynamic", .max_rows = 5, .half_life_steps = 9}, "features.user.half_life_steps = 9 has no effect"},
      {"user", {.encoder = "dynamic", .max_rows = 5, .memory_gib = 1.0}, "leave one of them out"},
      {"user", {.max_age_steps = 5}, "features.user.max_age_steps has no effect"},
      {"user", {.memory_gib = 0.5}, "features.user.memory_gib has no effect"},
      {"price", {.half_life_steps = 5}, "features.price.half_life_steps has no effect"},
      {"user", {.admit_probability = 0.5}, "features.user.admit_probability has no effect"},
      {"user", {.encoder = "hash", .hash_rows = 9, .evict = "age"}, "features.user.evict has no effect"},
      {"user", {.keep = "first"}, "holds no lists"},
      {"history", {.keep = "first"}, "features.history.keep has no effect: it needs max_length"},
      {"history", {.padding = "front"}, "features.history.padding has no effect: it needs max_length"},
      {"history", {.max_length = 1, .padding = "front"}, "features.history.padding has no effect: with max_length = 1"},
      {"price", {.keep = "first"}, "features.price.keep has no effect"},
      {"price", {.admit_probability = 0.5}, "features.price.admit_probability has no effect"},
      {"price", {.evict = "age"}, "features.price.evict has no effect"},
  };
  for (const auto& [feature, section, message] : cases) {
    DataFixture fixture;
    fixture.features[feature] = section;
    INFO(feature << ": " << message);
    CHECK_THROWS_AS(fixture.prepare("train", data), ConfigError);
    CHECK_THROWS_WITH(fixture.prepare("train", data), Contains(message) && Contains(feature));
  }
}

TEST_CASE("features that share a table must agree on hashes, salt and buckets") {
  const auto data = source();
  data->ids("user", {1}).ids("friend", {1}).dense("price", {1.0F}).dense("cost", {1.0F});
  DataFixture fixture;
  fixture.features["user"] = {.encoder = "hash", .hash_rows = 9, .hashes = 2};
  fixture.features["friend"] = {.encoder = "hash", .table = "user"};
  CHECK_THROWS_WITH(fixture.prepare("train", data), Contains("hash_rows"));
  fixture.features["friend"].hash_rows = 9;
  CHECK_THROWS_WITH(fixture.prepare("train", data), Contains("hashes (2 and 1)"));
  fixture.features["friend"].hashes = 2;
  fixture.features["friend"].salt = "x";
  fixture.features["user"].salt = "y";
  CHECK_THROWS_WITH(fixture.prepare("train", data), Contains("salt (y and x)"));
  fixture.features["user"].salt = "x";
  fixture.features["price"] = {.encoder = "bucket", .buckets = 3};
  fixture.features["cost"] = {.encoder = "bucket", .boundaries = {1.0}, .table = "price"};
  CHECK_THROWS_WITH(fixture.prepare("train", data), Contains("how boundaries are found"));
  fixture.features["cost"] = {.encoder = "bucket", .buckets = 3, .table = "price"};
  CHECK(fixture.prepare("train", data).vocabularies->size() == 2);
}
