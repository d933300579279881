// What a sentinel takes for a fault, and what it does not.
#include "train/sentinels.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "comm/single_communicator.h"
#include "train/table_panel.h"

using namespace rechost;

namespace {

/// A run whose warnings are collected.
class Watched {
 public:
  explicit Watched(SentinelsSection settings = {}) : sentinels(settings, [this](const SentinelFinding& finding) { names.push_back(finding.sentinel + " " + finding.subject); }) {}

  void evaluate(std::int64_t step, double auc, float least_output, float largest_output, float largest_label = 1.0F) {
    MetricReport report;
    report.values.push_back({"auc", auc, ""});
    report.ranges.push_back({"", 100, {{least_output, largest_output}}, {0.0F, largest_label}});
    sentinels.look_at_evaluation(step, "valid", report);
  }
  void train(std::vector<float> labels) {
    Batch batch;
    batch.rows = static_cast<std::int64_t>(labels.size());
    batch.labels = std::move(labels);
    sentinels.look_at_labels(batch);
  }

  std::vector<std::string> names;
  Sentinels sentinels;
};

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("an AUC of chance is told once, after so many evaluations in a row", "[sentinels]") {
  Watched run;
  run.evaluate(10, 0.501, 0.0F, 1.0F);
  run.evaluate(20, 0.6, 0.0F, 1.0F);
  run.evaluate(30, 0.501, 0.0F, 1.0F);
  run.evaluate(40, 0.499, 0.0F, 1.0F);
  CHECK(run.names.empty());
  run.evaluate(50, 0.5, 0.0F, 1.0F);
  run.evaluate(60, 0.5, 0.0F, 1.0F);
  REQUIRE(run.names == Names{"auc_stuck auc"});
  CHECK(run.sentinels.findings().front().since_step == 30);
  CHECK(run.sentinels.findings().front().step == 50);
}

TEST_CASE("a run with few evaluations is judged by all of them at its end", "[sentinels]") {
  Watched stuck;
  stuck.evaluate(10, 0.501, 0.0F, 1.0F);
  stuck.sentinels.finish(10);
  CHECK(stuck.names == Names{"auc_stuck auc"});
  Watched learnt;
  learnt.evaluate(10, 0.6, 0.0F, 1.0F);
  learnt.evaluate(20, 0.501, 0.0F, 1.0F);
  learnt.sentinels.finish(20);
  CHECK(learnt.names.empty());
}

TEST_CASE("outputs that differ in their last bit are the same", "[sentinels]") {
  Watched run;
  run.evaluate(10, 0.7, -300.0F, std::nextafter(-300.0F, 0.0F));
  CHECK(run.names == Names{"constant_predictions valid"});
  Watched sound;
  sound.evaluate(10, 0.7, -300.0F, -299.9F);
  CHECK(sound.names.empty());
}

TEST_CASE("labels of one class are told when there were enough, or all", "[sentinels]") {
  SingleCommunicator alone;
  SentinelsSection settings;
  settings.one_class_samples = 100;
  Watched run(settings);
  run.sentinels.watch_label(0, "click");
  run.train(std::vector<float>(60, 0.0F));
  run.sentinels.judge_labels(1, false, alone);
  CHECK(run.names.empty());
  run.train(std::vector<float>(60, 0.0F));
  run.sentinels.judge_labels(2, false, alone);
  run.sentinels.judge_labels(3, true, alone);
  CHECK(run.names == Names{"one_class_labels train click"});

  Watched mixed(settings);
  mixed.sentinels.watch_label(0, "click");
  std::vector<float> labels(200, 0.0F);
  labels.back() = 1.0F;
  mixed.train(labels);
  mixed.sentinels.judge_labels(1, true, alone);
  CHECK(mixed.names.empty());

  Watched whole;
  whole.sentinels.watch_label(0, "click");
  whole.train(std::vector<float>(60, 1.0F));
  whole.sentinels.judge_labels(1, true, alone);
  CHECK(whole.names == Names{"one_class_labels train click"});
}

TEST_CASE("a gradient explodes by what was usual, and one of zero is told at the second time", "[sentinels]") {
  Watched run;
  run.sentinels.look_at_gradient(1, 1e9);  // nothing to compare with yet
  for (std::int64_t step = 2; step < 12; ++step) run.sentinels.look_at_gradient(step, 1e6);
  run.sentinels.look_at_gradient(12, 1e8);
  CHECK(run.names.empty());
  run.sentinels.look_at_gradient(13, 1e13);
  CHECK(run.names == Names{"exploding_gradient dense"});
  run.sentinels.look_at_gradient(14, 0.0);
  run.sentinels.look_at_gradient(15, std::nullopt);
  CHECK(run.names.size() == 1);
  run.sentinels.look_at_gradient(16, 0.0);
  CHECK(run.names == Names{"exploding_gradient dense", "vanished_gradient dense"});
  CHECK(run.sentinels.findings().back().since_step == 14);
}

TEST_CASE("dead rows are judged by their share, one exploding row is enough", "[sentinels]") {
  const auto table = [](std::int64_t touched, std::int64_t without_gradient, std::int64_t shrunk, std::int64_t exploding) {
    TableFacts facts;
    facts.name = "t";
    facts.rows = facts.looked_at = 1000;
    facts.touched = touched;
    facts.without_gradient = without_gradient;
    facts.shrunk = shrunk;
    facts.exploding = exploding;
    return facts;
  };
  const auto found = [&](const TableFacts& facts) {
    Watched run;
    run.sentinels.look_at_tables(5, {&facts, 1});
    return run.names;
  };
  CHECK(found(table(100, 50, 20, 0)).empty());
  CHECK(found(table(100, 150, 0, 0)) == Names{"dead_rows t"});
  CHECK(found(table(100, 0, 60, 0)) == Names{"dead_rows t"});
  CHECK(found(table(3, 4, 0, 0)).empty());  // too few rows to speak of a share
  CHECK(found(table(100, 0, 0, 1)) == Names{"exploding_rows t"});
}

TEST_CASE("what is to fail throws what it told, what is off says nothing", "[sentinels]") {
  SentinelsSection settings;
  settings.action = "fail";
  Watched failing(settings);
  CHECK_THROWS_WITH(failing.evaluate(10, 0.7, 1.0F, 1.0F), Catch::Contains("same output") && Catch::Contains("sentinels.action"));
  CHECK(failing.names == Names{"constant_predictions valid"});
  settings.action = "off";
  Watched off(settings);
  off.evaluate(10, 0.5, 1.0F, 1.0F, 0.0F);
  off.sentinels.look_at_gradient(1, 0.0);
  off.sentinels.look_at_gradient(2, 0.0);
  off.sentinels.finish(10);
  CHECK(off.names.empty());
}

TEST_CASE("a resumed run goes on counting and does not repeat itself", "[sentinels]") {
  Watched before;
  before.evaluate(10, 0.5, 1.0F, 1.0F);
  before.evaluate(20, 0.5, 1.0F, 1.0F);
  REQUIRE(before.names == Names{"constant_predictions valid"});
  Watched after;
  after.sentinels.restore(Json::parse(before.sentinels.to_json().dump()));
  CHECK(after.sentinels.findings().size() == 1);
  after.evaluate(30, 0.5, 1.0F, 1.0F);
  CHECK(after.names == Names{"auc_stuck auc"});
  CHECK(after.sentinels.findings().back().since_step == 10);
}

TEST_CASE("linear counting estimates how many values were hashed", "[sentinels]") {
  CHECK(!estimated_values(100, 100));
  CHECK(*estimated_values(100, 0) == 0.0);
  // 1 - e^-1 of the rows are taken when as many values as rows are thrown.
  CHECK(*estimated_values(1'000'000, 632'121) == Approx(1e6).epsilon(1e-4));
}
