#include "train/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <random>
#include <vector>

#include <catch2/catch.hpp>

#include "base/error.h"
#include "train/ranking.h"

using namespace rechost;

namespace {

MetricReport binary(const std::vector<float>& logits, const std::vector<float>& labels, const std::vector<float>& weights = {}) {
  MetricAccumulator metrics({});
  metrics.add(logits, labels, weights);
  return metrics.finish();
}

/// All pairs, one by one.
double brute_force_auc(const std::vector<float>& logits, const std::vector<float>& labels, const std::vector<float>& weights) {
  double won = 0.0;
  double pairs = 0.0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    for (std::size_t j = 0; j < logits.size(); ++j) {
      if (labels[i] != 1.0f || labels[j] != 0.0f) continue;
      const double weight = static_cast<double>(weights[i]) * weights[j];
      pairs += weight;
      won += weight * (logits[i] > logits[j] ? 1.0 : logits[i] == logits[j] ? 0.5 : 0.0);
    }
  }
  return won / pairs;
}

struct Rows {
  std::vector<float> logits, labels, weights;

  explicit Rows(std::size_t count, std::uint32_t seed) {
    std::mt19937 random(seed);
    for (std::size_t i = 0; i < count; ++i) {
      logits.push_back(static_cast<float>(static_cast<int>(random() % 41) - 20) * 0.25f);  // many ties
      labels.push_back(random() % 3 == 0 ? 1.0f : 0.0f);
      weights.push_back(static_cast<float>(random() % 1000) * 0.001f);
    }
  }

  void shuffle(std::uint32_t seed) {
    std::vector<std::size_t> order(logits.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::shuffle(order.begin(), order.end(), std::mt19937(seed));
    const Rows before = *this;
    for (std::size_t i = 0; i < order.size(); ++i) {
      logits[i] = before.logits[order[i]];
      labels[i] = before.labels[order[i]];
      weights[i] = before.weights[order[i]];
    }
  }

  void add_to(MetricAccumulator& metrics, std::size_t begin, std::size_t end) const {
    const auto part = [&](const std::vector<float>& values) { return std::span(values).subspan(begin, end - begin); };
    metrics.add(part(logits), part(labels), part(weights));
  }
};

}  // namespace

TEST_CASE("Four rows by hand") {
  // Probabilities .5, .5, .75, .25 (logits 0, 0, ln 3, -ln 3).
  const float ln3 = std::log(3.0f);
  const MetricReport report = binary({0.0f, 0.0f, ln3, -ln3}, {1, 0, 1, 0});
  CHECK(*report.value("log_loss") == Approx((2 * std::log(2.0) - 2 * std::log(0.75)) / 4).epsilon(1e-6));
  CHECK(*report.value("normalized_entropy") == Approx((2 * std::log(2.0) - 2 * std::log(0.75)) / 4 / std::log(2.0)).epsilon(1e-6));
  CHECK(*report.value("auc") == 3.5 / 4);
  CHECK(*report.value("accuracy") == 0.75);  // half itself counts as 0: the first row is wrong
  CHECK(*report.value("calibration") == Approx(1.0).epsilon(1e-6));
  CHECK(*report.value("rmse") == Approx(std::sqrt((0.25 + 0.25 + 0.0625 + 0.0625) / 4)).epsilon(1e-6));
  CHECK(*report.value("mean_label") == 0.5);
}

TEST_CASE("AUC of perfect, inverted and constant scores") {
  CHECK(*binary({-1, 0, 1, 2}, {0, 0, 1, 1}).value("auc") == 1.0);
  CHECK(*binary({-1, 0, 1, 2}, {1, 1, 0, 0}).value("auc") == 0.0);
  CHECK(*binary({3, 3, 3}, {0, 1, 0}).value("auc") == 0.5);
  CHECK(*binary({0.0f, -0.0f}, {0, 1}).value("auc") == 0.5);
}

TEST_CASE("AUC agrees with all pairs, weighted and not, with ties") {
  const std::uint32_t seed = GENERATE(1u, 2u, 3u, 4u);
  INFO("seed " << seed);
  const Rows rows(317, seed);
  const std::vector<float> ones(rows.logits.size(), 1.0f);
  CHECK(*binary(rows.logits, rows.labels).value("auc") == Approx(brute_force_auc(rows.logits, rows.labels, ones)).epsilon(1e-14));
  CHECK(*binary(rows.logits, rows.labels, rows.weights).value("auc") ==
        Approx(brute_force_auc(rows.logits, rows.labels, rows.weights)).epsilon(1e-12));
}

TEST_CASE("Whole weights count like repeated rows") {
  const MetricReport weighted = binary({-1, 2, 0.5f}, {0, 1, 1}, {2, 1, 3});
  const MetricReport repeated = binary({-1, -1, 2, 0.5f, 0.5f, 0.5f}, {0, 0, 1, 1, 1, 1});
  for (const char* name : {"log_loss", "auc", "accuracy", "calibration", "rmse", "normalized_entropy", "mean_label"}) {
    INFO(name);
    CHECK(*weighted.value(name) == Approx(*repeated.value(name)).epsilon(1e-14));
  }
}

TEST_CASE("Order, batches and ranks change no bit of any metric") {
  Rows rows(1000, 7);
  MetricAccumulator whole({});
  rows.add_to(whole, 0, 1000);
  const Json expected = whole.finish().values_json();
  CHECK(expected.size() == 9);
  for (const std::uint32_t seed : {1u, 2u, 3u}) {
    rows.shuffle(seed);
    MetricAccumulator first({});
    MetricAccumulator second({});
    rows.add_to(first, 0, 10);
    rows.add_to(first, 10, 400);
    rows.add_to(second, 400, 1000);
    first.finish();  // looking in between must not matter
    first.merge(second.pack());
    CHECK(first.finish().values_json() == expected);
    CHECK(first.rows() == 1000);
  }
}

TEST_CASE("Undefined values have a reason instead of a number") {
  const MetricReport ones = binary({1, 2}, {1, 1});
  CHECK_FALSE(ones.value("auc").has_value());
  CHECK(ones.find("auc")->reason == "all labels are 1");
  CHECK(ones.find("normalized_entropy")->reason == "all labels are 1");
  CHECK(ones.value("log_loss").has_value());
  const MetricReport zeros = binary({1, 2}, {0, 0});
  CHECK(zeros.find("auc")->reason == "all labels are 0");
  CHECK(zeros.find("calibration")->reason == "all labels are 0");
  CHECK_FALSE(zeros.values_json().contains("auc"));
  CHECK(zeros.reasons_json()["auc"] == "all labels are 0");

  CHECK(MetricAccumulator({}).finish().find("log_loss")->reason == "there are no rows");
  CHECK(binary({1, 2}, {0, 1}, {0, 0}).find("log_loss")->reason == "all weights are 0");
  CHECK(binary({1, std::numeric_limits<float>::infinity()}, {0, 1}).find("log_loss")->reason == "1 outputs in 2 rows are not finite");
  CHECK(binary({1, 2}, {0.25f, 1}).find("auc")->reason == "labels are not all 0 or 1");

  MetricAccumulator streaming({.keep_rows = false});
  streaming.add(std::vector<float>{1, 2}, std::vector<float>{0, 1}, {});
  CHECK(streaming.finish().find("auc")->reason == "the scores were not kept");
}

TEST_CASE("Weight 0 on one class leaves AUC undefined") {
  CHECK(binary({1, 2}, {0, 1}, {1, 0}).find("auc")->reason == "all labels are 0");
  CHECK(binary({1, 2}, {0, 1}, {0, 1}).find("auc")->reason == "all labels are 1");
}

TEST_CASE("Labels and weights that make no sense are named with their row") {
  CHECK_THROWS_WITH(binary({1, 2}, {0, 3}), Catch::Contains("label 3 in row 1"));
  CHECK_THROWS_WITH(binary({1}, {std::nanf("")}), Catch::Contains("row 0"));
  CHECK_THROWS_WITH(binary({1, 2}, {0, 1}, {1, -1}), Catch::Contains("weight -1 in row 1"));
  CHECK_THROWS_AS(binary({1, 2}, {0}), Error);
}

TEST_CASE("Log loss stays exact where the sigmoid saturates") {
  CHECK(*binary({100.0f}, {0}).value("log_loss") == 100.0);
  CHECK(*binary({-800.0f}, {1}).value("log_loss") == 800.0);
  CHECK(*binary({40.0f}, {1}).value("log_loss") == Approx(std::exp(-40.0)).epsilon(1e-12));
}

TEST_CASE("Equal predictions share a bin of the reliability table") {
  const std::vector<float> logits(100, 0.0f);
  std::vector<float> labels(100, 0.0f);
  std::fill_n(labels.begin(), 50, 1.0f);
  const MetricReport report = binary(logits, labels);
  REQUIRE(report.reliability.size() == 1);
  CHECK(report.reliability[0].second.size() == 1);
  CHECK(*report.value("expected_calibration_error") == Approx(0.0).margin(1e-12));
}

TEST_CASE("The reliability table has 20 bins of equal row count") {
  std::vector<float> logits;
  std::vector<float> labels;
  for (int i = 0; i < 1000; ++i) {
    logits.push_back(static_cast<float>(i - 500) * 0.01f);
    labels.push_back(i % 2 == 0 ? 1.0f : 0.0f);
  }
  const MetricReport report = binary(logits, labels);
  const std::vector<ReliabilityBin>& bins = report.reliability[0].second;
  REQUIRE(bins.size() == 20);
  double error = 0.0;
  for (std::size_t i = 0; i < bins.size(); ++i) {
    CHECK(bins[i].rows == 50);
    CHECK(bins[i].mean_label == 0.5);
    if (i > 0) CHECK(bins[i].mean_prediction > bins[i - 1].mean_prediction);
    error += std::abs(bins[i].mean_prediction - 0.5) / 20;
  }
  CHECK(*report.value("expected_calibration_error") == Approx(error));
}

TEST_CASE("Multi-label figures are taken over all elements, weights by row") {
  MetricAccumulator wide({.task = MetricTask::kMultilabel, .width = 2, .prefix = "tags."});
  wide.add(std::vector<float>{1, -1, 0.5f, 2}, std::vector<float>{1, 0, 0, 1}, std::vector<float>{2, 3});
  const MetricReport report = wide.finish();
  const MetricReport flat = binary({1, -1, 0.5f, 2}, {1, 0, 0, 1}, {2, 2, 3, 3});
  CHECK(report.value("tags.auc") == flat.value("auc"));
  CHECK(report.value("tags.log_loss") == flat.value("log_loss"));
}

TEST_CASE("Multi-class by hand") {
  MetricAccumulator metrics({.task = MetricTask::kMulticlass, .width = 3});
  metrics.add(std::vector<float>{0, 0, 0, 1000, 0, 0, 0, 5, 1}, std::vector<float>{0, 0, 2}, {});
  const MetricReport report = metrics.finish();
  const double third = std::log(1 + std::exp(5.0) + std::exp(1.0)) - 1;
  CHECK(*report.value("log_loss") == Approx((std::log(3.0) + 0.0 + third) / 3).epsilon(1e-12));
  CHECK(*report.value("accuracy") == Approx(2.0 / 3.0));
  CHECK_THROWS_WITH(metrics.add(std::vector<float>{0, 0, 0}, std::vector<float>{3}, {}), Catch::Contains("classes 0 to 2"));
  CHECK_THROWS_WITH(metrics.add(std::vector<float>{0, 0, 0}, std::vector<float>{0.5f}, {}), Catch::Contains("label 0.5"));
}

TEST_CASE("Regression by hand") {
  MetricAccumulator metrics({.task = MetricTask::kRegression});
  metrics.add(std::vector<float>{1, 2, 5}, std::vector<float>{2, 2, 3}, std::vector<float>{1, 1, 2});
  const MetricReport report = metrics.finish();
  CHECK(*report.value("rmse") == Approx(1.5));  // (1 + 0 + 2 * 4) / 4
  CHECK(*report.value("mae") == Approx(1.25));  // (1 + 0 + 2 * 2) / 4
  CHECK(*report.value("mean_label") == Approx(2.5));
  metrics.clear();
  CHECK(metrics.finish().find("rmse")->reason == "there are no rows");
}

TEST_CASE("State of a head with other settings is refused") {
  MetricAccumulator binary_head({});
  MetricAccumulator other({.task = MetricTask::kRegression});
  CHECK_THROWS_AS(binary_head.merge(other.pack()), Error);
  std::vector<std::byte> packed = MetricAccumulator({}).pack();
  packed.pop_back();
  CHECK_THROWS_AS(binary_head.merge(packed), Error);
}

TEST_CASE("Sorting rows agrees with std::sort") {
  std::mt19937_64 random(5);
  for (const std::size_t count : {0u, 1u, 2u, 255u, 10'000u}) {
    std::vector<std::uint64_t> rows(count);
    for (std::uint64_t& row : rows)
      row = ScoredRow::pack(static_cast<float>(static_cast<std::int64_t>(random())) * 1e-18f, random() % 2 == 0, 1.0f);
    std::vector<std::uint64_t> expected = rows;
    std::sort(expected.begin(), expected.end());
    sort_scored_rows(rows);
    CHECK(rows == expected);
    CHECK(std::is_sorted(rows.begin(), rows.end(), [](auto a, auto b) { return ScoredRow::score(a) < ScoredRow::score(b); }));
  }
}

TEST_CASE("A packed row gives back score, label and weight") {
  for (const float score : {-3.5f, -1e-40f, 0.0f, 1e-40f, 7.25f}) {
    const std::uint64_t row = ScoredRow::pack(score, true, 0.3f);
    CHECK(ScoredRow::score(row) == score);
    CHECK(ScoredRow::positive(row));
    CHECK(ScoredRow::weight(row) == 0.3f);
  }
}

TEST_CASE("Exact sums do not depend on order, and round once") {
  const std::vector<double> terms{1e308, 1.0, -1e308, 1e-300, 5e-324, -3.25, 1e16, -1e16};
  std::vector<std::size_t> order(terms.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::mt19937 random(3);
  for (int round = 0; round < 20; ++round) {
    std::shuffle(order.begin(), order.end(), random);
    ExactSum sum;
    for (const std::size_t i : order) sum.add(terms[i]);
    CHECK(sum.value() == -2.25);
  }
  ExactSum tenths;
  for (int i = 0; i < 10; ++i) tenths.add(0.1);
  CHECK(tenths.value() == 1.0);  // ten times the double nearest to .1 is nearer to 1 than to any other double
  ExactSum tiny;
  tiny.add(5e-324);
  CHECK(tiny.value() == 5e-324);
  ExactSum largest;
  largest.add(std::numeric_limits<double>::max());
  CHECK(largest.value() == std::numeric_limits<double>::max());
  CHECK(ExactSum().value() == 0.0);
}

TEST_CASE("Exact sums of random numbers equal those in 128-bit integers") {
  std::mt19937_64 random(11);
  ExactSum sum;
  __int128 expected = 0;
  for (int i = 0; i < 100'000; ++i) {
    const std::int64_t term = static_cast<std::int64_t>(random()) >> 11;  // fits a double
    expected += term;
    sum.add(static_cast<double>(term));
  }
  CHECK(sum.value() == static_cast<double>(expected));
}

TEST_CASE("Exact sums remember that a term was not finite, and survive packing") {
  ExactSum sum;
  sum.add(-2.5);
  CHECK(sum.finite());
  sum.add(std::numeric_limits<double>::infinity());
  CHECK_FALSE(sum.finite());
  std::array<std::int64_t, ExactSum::kWords> words;
  sum.pack(words);
  ExactSum other = ExactSum::unpack(words);
  other.add(sum);
  CHECK(other.value() == -5.0);
  CHECK_FALSE(other.finite());
}

TEST_CASE("ranges of outputs and labels are those of all ranks, also of one without rows", "[metrics]") {
  MetricAccumulator first({});
  first.add(std::vector<float>{-1.0F, 0.5F}, std::vector<float>{0.0F, 0.0F}, {});
  MetricAccumulator second({});
  second.add(std::vector<float>{2.0F}, std::vector<float>{1.0F}, {});
  MetricAccumulator all({});
  for (const MetricAccumulator* rank : {&first, &second}) all.merge(rank->pack());
  all.merge(MetricAccumulator({}).pack());
  const HeadRanges ranges = all.finish().ranges.front();
  CHECK(ranges.rows == 3);
  CHECK(ranges.outputs.front().least == -1.0F);
  CHECK(ranges.outputs.front().largest == 2.0F);
  CHECK(ranges.labels.least == 0.0F);
  CHECK(ranges.labels.largest == 1.0F);
  CHECK(MetricAccumulator({}).finish().ranges.front().labels.empty());
}
