#include "kernels/losses.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "core/kernels/random_values.h"

using namespace rechost;
using rechost::test::RandomValues;

namespace {

constexpr LossKind kAllLosses[] = {LossKind::kBinaryCrossEntropy, LossKind::kSquaredError, LossKind::kSoftmaxCrossEntropy};

struct Samples {
  LossKind kind;
  std::int64_t rows;
  std::int64_t outputs;
  std::int64_t stride;
  std::vector<float> logits;
  std::vector<float> labels;
  std::vector<float> weights;

  Samples(LossKind of, std::int64_t row_count, std::int64_t output_count, RandomValues& random)
      : kind(of),
        rows(row_count),
        outputs(output_count),
        stride(output_count + 2),
        logits(random.floats(rows * outputs, -12.0f, 12.0f)),
        labels(random.floats(rows * stride, 0.0f, 1.0f)),
        weights(random.floats(rows, 0.0f, 3.0f)) {
    if (kind == LossKind::kSoftmaxCrossEntropy) {
      for (float& label : labels) label = static_cast<float>(random.below(outputs));
    }
  }
  LossInput input(bool weighted = true) const {
    return {.rows = rows,
            .outputs = outputs,
            .logits = logits.data(),
            .labels = labels.data(),
            .label_stride = stride,
            .weights = weighted ? weights.data() : nullptr};
  }
};

}  // namespace

TEST_CASE("losses and their gradients agree with the double-precision reference") {
  constexpr std::uint64_t kSeed = 99;
  CAPTURE(kSeed);
  RandomValues random(kSeed);
  ThreadPool pool(2);
  for (const InstructionSet set : test::instruction_sets()) {
    const test::WithInstructionSet limit(set);
    for (const LossKind kind : kAllLosses) {
      for (const std::int64_t rows : {0, 1, 5, 513, 5000}) {
        for (const std::int64_t outputs : {1, 2, 5, 33}) {
          for (const bool weighted : {false, true}) {
            CAPTURE(instruction_set_name(set), loss_name(kind), rows, outputs, weighted);
            const Samples samples(kind, rows, outputs, random);
            std::vector<float> ours(samples.logits.size());
            std::vector<float> expected(samples.logits.size());
            const double loss = loss_and_gradient(kind, samples.input(weighted), 0.125, ours.data(), pool);
            const double expected_loss = loss_and_gradient_reference(kind, samples.input(weighted), 0.125, expected.data());
            REQUIRE(loss == Approx(expected_loss).epsilon(1e-5).margin(1e-6));
            for (std::size_t i = 0; i < ours.size(); ++i) {
              if (!(std::abs(ours[i] - expected[i]) <= 3e-7f + 3e-6f * std::abs(expected[i]))) {
                FAIL("gradient " << i << " is " << ours[i] << ", expected " << expected[i]);
              }
            }
            REQUIRE(loss_and_gradient(kind, samples.input(weighted), 0.125, nullptr, pool) == loss);
          }
        }
      }
    }
  }
}

TEST_CASE("a gradient may be written over the logits") {
  RandomValues random(3);
  ThreadPool pool(1);
  for (const LossKind kind : kAllLosses) {
    CAPTURE(loss_name(kind));
    Samples samples(kind, 700, 3, random);
    std::vector<float> apart(samples.logits.size());
    const double loss = loss_and_gradient(kind, samples.input(), 1.0, apart.data(), pool);
    REQUIRE(loss_and_gradient(kind, samples.input(), 1.0, samples.logits.data(), pool) == loss);
    REQUIRE(samples.logits == apart);
  }
}

TEST_CASE("losses have the same bits on any number of threads") {
  RandomValues random(4);
  ThreadPool one_thread(1);
  ThreadPool three_threads(3);
  for (const LossKind kind : kAllLosses) {
    const Samples samples(kind, 9001, 4, random);
    std::vector<float> one(samples.logits.size());
    std::vector<float> three(samples.logits.size());
    REQUIRE(loss_and_gradient(kind, samples.input(), 1.0, one.data(), one_thread) ==
            loss_and_gradient(kind, samples.input(), 1.0, three.data(), three_threads));
    REQUIRE(one == three);
  }
}

TEST_CASE("extreme logits give finite losses, and NaN is not hidden") {
  ThreadPool pool(1);
  for (const InstructionSet set : test::instruction_sets()) {
    const test::WithInstructionSet limit(set);
    CAPTURE(instruction_set_name(set));
    const std::vector<float> logits{500.0f, -500.0f, 88.0f, -88.0f};
    const std::vector<float> labels{0.0f, 1.0f, 1.0f, 0.0f};
    LossInput input{.rows = 4, .logits = logits.data(), .labels = labels.data()};
    std::vector<float> gradients(4);
    REQUIRE(loss_and_gradient(LossKind::kBinaryCrossEntropy, input, 1.0, gradients.data(), pool) == Approx(1000.0));
    REQUIRE(gradients[0] == Approx(1.0f));
    REQUIRE(gradients[1] == Approx(-1.0f));
    const float no_number = std::numeric_limits<float>::quiet_NaN();
    input = {.rows = 1, .logits = &no_number, .labels = labels.data()};
    REQUIRE(std::isnan(loss_and_gradient(LossKind::kBinaryCrossEntropy, input, 1.0, gradients.data(), pool)));
    REQUIRE(std::isnan(gradients[0]));
  }
}

TEST_CASE("a class number that is none names its row") {
  ThreadPool pool(2);
  const std::vector<float> logits(6);
  for (const float wrong : {2.0f, -1.0f, 0.5f, std::numeric_limits<float>::quiet_NaN()}) {
    const std::vector<float> labels{0.0f, 1.0f, wrong};
    const LossInput input{.rows = 3, .outputs = 2, .logits = logits.data(), .labels = labels.data()};
    REQUIRE_THROWS_WITH(loss_and_gradient(LossKind::kSoftmaxCrossEntropy, input, 1.0, nullptr, pool), Catch::Contains("row 2"));
  }
}

TEST_CASE("loss names go both ways") {
  for (const LossKind kind : kAllLosses) REQUIRE(loss_kind(loss_name(kind)) == kind);
  REQUIRE(loss_kind("multilabel_cross_entropy") == LossKind::kBinaryCrossEntropy);
  REQUIRE_THROWS_AS(loss_kind("hinge"), ConfigError);
}
