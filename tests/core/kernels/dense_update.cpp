#include "kernels/dense_update.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "base/error.h"
#include "core/kernels/random_values.h"

using namespace rechost;
using rechost::test::RandomValues;

namespace {

/// Parameters with their state, and the ranges that they consist of.
struct Parameters {
  std::vector<DenseRange> ranges;
  std::vector<float> values;
  std::vector<float> gradients;
  std::vector<float> first;
  std::vector<float> second;

  Parameters(const OptimizerSettings& optimizer, std::vector<DenseRange> from, std::int64_t count, RandomValues& random)
      : ranges(std::move(from)), values(random.floats(count)), gradients(random.floats(count)) {
    const auto [first_floats, second_floats] = dense_state_floats(optimizer.kind, count, ranges);
    first.resize(static_cast<std::size_t>(first_floats));
    second.resize(static_cast<std::size_t>(second_floats));
    initialize_dense_state(optimizer, count, ranges, state());
  }
  DenseState state() { return {first.data(), second.data()}; }
};

void require_close(const std::vector<float>& ours, const std::vector<float>& expected) {
  REQUIRE(ours.size() == expected.size());
  for (std::size_t i = 0; i < ours.size(); ++i) {
    if (!(std::abs(ours[i] - expected[i]) <= 2e-6f + 2e-6f * std::abs(expected[i]))) {
      FAIL("element " << i << " is " << ours[i] << ", expected " << expected[i]);
    }
  }
}

OptimizerSettings settings_of(OptimizerKind kind) {
  OptimizerSettings optimizer;
  optimizer.kind = kind;
  optimizer.lr = 0.05;
  optimizer.weight_decay = 0.1;
  optimizer.initial_accumulator = 0.01;
  return optimizer;
}

}  // namespace

TEST_CASE("the dense update agrees with the double-precision reference for every rule and odd sizes") {
  constexpr std::uint64_t kSeed = 20240611;
  CAPTURE(kSeed);
  RandomValues random(kSeed);
  ThreadPool pool(2);
  for (const InstructionSet set : test::instruction_sets()) {
    const test::WithInstructionSet limit(set);
    for (const OptimizerKind kind : test::kAllOptimizers) {
      for (const std::int64_t rows : {0, 1, 3, 17, 400}) {
        for (const std::int64_t row_length : {1, 7, 16, 129}) {
          CAPTURE(instruction_set_name(set), optimizer_name(kind), rows, row_length);
          const OptimizerSettings optimizer = settings_of(kind);
          const std::int64_t weights = rows * row_length;
          // A gap of two elements belongs to no range and must stay as it is.
          const std::vector<DenseRange> ranges{{0, weights, row_length, true}, {weights + 2, row_length, row_length, false}};
          Parameters ours(optimizer, ranges, weights + 2 + row_length, random);
          Parameters expected = ours;
          for (std::int64_t step = 1; step <= 3; ++step) {
            const DenseUpdateSettings settings{.step = step, .lr_factor = 0.5, .gradient_scale = 0.25, .l2 = 0.03};
            dense_update(optimizer, settings, ranges, ours.values.data(), ours.gradients.data(), ours.state(), pool);
            dense_update_reference(optimizer, settings, ranges, expected.values.data(), expected.gradients.data(), expected.state());
          }
          require_close(ours.values, expected.values);
          require_close(ours.first, expected.first);
          require_close(ours.second, expected.second);
        }
      }
    }
  }
}

TEST_CASE("the dense update has the same bits on any number of threads") {
  RandomValues random(7);
  for (const OptimizerKind kind : test::kAllOptimizers) {
    CAPTURE(optimizer_name(kind));
    const OptimizerSettings optimizer = settings_of(kind);
    const std::vector<DenseRange> ranges{{0, 333 * 301, 301, true}, {333 * 301, 301, 301, false}};
    const Parameters start(optimizer, ranges, 334 * 301, random);
    Parameters one = start;
    Parameters three = start;
    ThreadPool one_thread(1);
    ThreadPool three_threads(3);
    dense_update(optimizer, {}, ranges, one.values.data(), one.gradients.data(), one.state(), one_thread);
    dense_update(optimizer, {}, ranges, three.values.data(), three.gradients.data(), three.state(), three_threads);
    REQUIRE(one.values == three.values);
    REQUIRE(one.first == three.first);
    REQUIRE(one.second == three.second);
    REQUIRE(sum_of_squares(one.values, one_thread) == sum_of_squares(one.values, three_threads));
  }
}

TEST_CASE("a range that does not consist of whole rows is refused") {
  ThreadPool pool(1);
  const std::vector<DenseRange> ranges{{0, 10, 4, true}};
  std::vector<float> values(10);
  REQUIRE_THROWS_AS(dense_update({}, {}, ranges, values.data(), values.data(), {}, pool), Error);
}

TEST_CASE("the sum of squares is made in double") {
  ThreadPool pool(2);
  REQUIRE(sum_of_squares({}, pool) == 0.0);
  const std::vector<float> values(100001, 0.1f);
  REQUIRE(sum_of_squares(values, pool) == Approx(100001 * static_cast<double>(0.1f) * static_cast<double>(0.1f)).epsilon(1e-12));
}

TEST_CASE("optimizer names go both ways and a typing error is answered with the nearest name") {
  for (const OptimizerKind kind : test::kAllOptimizers) REQUIRE(optimizer_kind(optimizer_name(kind)) == kind);
  REQUIRE_THROWS_WITH(optimizer_kind("adagard"), Catch::Contains("adagard") && Catch::Contains("did you mean \"adagrad\""));
  REQUIRE(optimizer_state_floats(OptimizerKind::kSgd, 8) == 0);
  REQUIRE(optimizer_state_floats(OptimizerKind::kRowwiseAdagrad, 8) == 1);
  REQUIRE(optimizer_state_floats(OptimizerKind::kAdagrad, 8) == 8);
  REQUIRE(optimizer_state_floats(OptimizerKind::kAdam, 8) == 16);
}
