#include "kernels/gpu_kernels.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "base/error.h"
#include "core/device/gpus.h"
#include "core/kernels/random_values.h"

using namespace rechost;
using rechost::test::OnGpu;
using rechost::test::RandomValues;

namespace {

void require_close(const std::vector<float>& ours, const std::vector<float>& expected, float absolute, float relative) {
  REQUIRE(ours.size() == expected.size());
  for (std::size_t i = 0; i < ours.size(); ++i) {
    if (!(std::abs(ours[i] - expected[i]) <= absolute + relative * std::abs(expected[i]))) {
      FAIL("element " << i << " is " << ours[i] << ", expected " << expected[i]);
    }
  }
}

void check_dense_update(const std::shared_ptr<Gpu>& gpu) {
  constexpr std::uint64_t kSeed = 20240611;
  CAPTURE(kSeed);
  RandomValues random(kSeed);
  GpuKernels kernels(gpu);
  for (const OptimizerKind kind : test::kAllOptimizers) {
    for (const std::int64_t rows : {0, 1, 3, 17, 400}) {
      for (const std::int64_t row_length : {1, 7, 16, 129}) {
        CAPTURE(optimizer_name(kind), rows, row_length);
        OptimizerSettings optimizer{.kind = kind, .lr = 0.05, .initial_accumulator = 0.01, .weight_decay = 0.1};
        const std::int64_t weights = rows * row_length;
        // A gap of two elements belongs to no range and must stay as it is.
        const std::vector<DenseRange> ranges{{0, weights, row_length, true}, {weights + 2, row_length, row_length, false}};
        const std::int64_t count = weights + 2 + row_length;
        std::vector<float> values = random.floats(count);
        const std::vector<float> gradients = random.floats(count);
        const auto [first_floats, second_floats] = dense_state_floats(kind, count, ranges);
        std::vector<float> first(static_cast<std::size_t>(first_floats));
        std::vector<float> second(static_cast<std::size_t>(second_floats));
        initialize_dense_state(optimizer, count, ranges, {first.data(), second.data()});
        const OnGpu<float> gpu_values(gpu, values);
        const OnGpu<float> gpu_gradients(gpu, gradients);
        const OnGpu<float> gpu_first(gpu, first);
        const OnGpu<float> gpu_second(gpu, second);
        for (std::int64_t step = 1; step <= 3; ++step) {
          const DenseUpdateSettings settings{.step = step, .lr_factor = 0.5, .gradient_scale = 0.25, .l2 = 0.03};
          kernels.dense_update(optimizer, settings, ranges, gpu_values.data(), gpu_gradients.data(), {gpu_first.data(), gpu_second.data()});
          dense_update_reference(optimizer, settings, ranges, values.data(), gradients.data(), {first.data(), second.data()});
        }
        require_close(gpu_values.read(), values, 2e-6F, 2e-6F);
        require_close(gpu_first.read(), first, 2e-6F, 2e-6F);
        require_close(gpu_second.read(), second, 2e-6F, 2e-6F);
      }
    }
  }
  REQUIRE_THROWS_AS(kernels.dense_update({}, {}, std::vector<DenseRange>{{0, 10, 4, true}}, nullptr, nullptr, {}), Error);
}

void check_skipped_rows(const std::shared_ptr<Gpu>& gpu) {
  RandomValues random(5);
  GpuKernels kernels(gpu);
  constexpr std::int64_t kRows = 100;
  constexpr std::int64_t kDim = 5;
  const std::vector<std::int32_t> skipped{0, 1, 7, 50, 99};
  for (const OptimizerKind kind : {OptimizerKind::kSgd, OptimizerKind::kRowwiseAdagrad}) {
    const std::vector<float> start = random.floats(kRows * (kDim + 1), 0.5F, 1.0F);
    const OnGpu<float> table(gpu, start);
    const OnGpu<std::int32_t> gpu_skipped(gpu, skipped);
    RowUpdate update;
    update.values = table.data();
    update.first = table.data() + kDim;
    update.value_stride = update.first_stride = kDim + 1;
    update.row_count = kRows;
    update.dim = kDim;
    update.skipped = gpu_skipped.data();
    update.skipped_count = static_cast<std::int64_t>(skipped.size());
    // Without gradients only the decay is left: every other row shrinks.
    kernels.update_rows(kind, rule_constants({.kind = kind, .lr = 0.1}, 1, 1.0, 1.0, 0.0, 0.5), update);
    const std::vector<float> after = table.read();
    for (std::int64_t row = 0; row < kRows; ++row) {
      const bool untouched = std::find(skipped.begin(), skipped.end(), row) != skipped.end();
      for (std::int64_t column = 0; column < kDim; ++column) {
        const auto i = static_cast<std::size_t>(row * (kDim + 1) + column);
        CAPTURE(optimizer_name(kind), row, column);
        if (untouched) {
          REQUIRE(after[i] == start[i]);
        } else {
          REQUIRE(after[i] < start[i]);
        }
      }
    }
  }
}

void check_sums(const std::shared_ptr<Gpu>& gpu) {
  GpuKernels kernels(gpu);
  RandomValues random(11);
  ThreadPool pool(1);
  for (const std::int64_t count : {0, 1, 63, 64, 65, 16384, 100001}) {
    std::vector<float> values = random.floats(count, -2.0F, 2.0F);
    const OnGpu<float> there(gpu, values);
    const double sum = kernels.sum_of_squares(there.data(), count);
    REQUIRE(sum == Approx(sum_of_squares(values, pool)).epsilon(1e-12));
    REQUIRE(kernels.sum_of_squares(there.data(), count) == sum);
    kernels.clamp_values(there.data(), count, 0.5F);
    for (float& value : values) value = std::clamp(value, -0.5F, 0.5F);
    REQUIRE(there.read() == values);
  }
}

void check_losses(const std::shared_ptr<Gpu>& gpu) {
  constexpr std::uint64_t kSeed = 99;
  CAPTURE(kSeed);
  RandomValues random(kSeed);
  GpuKernels kernels(gpu);
  for (const LossKind kind : {LossKind::kBinaryCrossEntropy, LossKind::kSquaredError, LossKind::kSoftmaxCrossEntropy}) {
    for (const std::int64_t rows : {0, 1, 5, 513, 5000}) {
      for (const std::int64_t outputs : {1, 2, 5, 33}) {
        for (const bool weighted : {false, true}) {
          CAPTURE(loss_name(kind), rows, outputs, weighted);
          const std::int64_t stride = outputs + 2;
          const std::vector<float> logits = random.floats(rows * outputs, -12.0F, 12.0F);
          std::vector<float> labels = random.floats(rows * stride, 0.0F, 1.0F);
          const std::vector<float> weights = random.floats(rows, 0.0F, 3.0F);
          if (kind == LossKind::kSoftmaxCrossEntropy) {
            for (float& label : labels) label = static_cast<float>(random.below(outputs));
          }
          LossInput input{.rows = rows, .outputs = outputs, .logits = logits.data(), .labels = labels.data(), .label_stride = stride};
          if (weighted) input.weights = weights.data();
          std::vector<float> expected(logits.size());
          const double expected_loss = loss_and_gradient_reference(kind, input, 0.125, expected.data());

          const OnGpu<float> gpu_logits(gpu, logits);
          const OnGpu<float> gpu_labels(gpu, labels);
          const OnGpu<float> gpu_weights(gpu, weights);
          const OnGpu<float> gpu_gradients(gpu, std::vector<float>(logits.size()));
          LossInput there = input;
          there.logits = gpu_logits.data();
          there.labels = gpu_labels.data();
          if (weighted) there.weights = gpu_weights.data();
          const double loss = kernels.loss_and_gradient(kind, there, labels.data(), 0.125, gpu_gradients.data());
          REQUIRE(loss == Approx(expected_loss).epsilon(1e-5).margin(1e-6));
          require_close(gpu_gradients.read(), expected, 3e-7F, 3e-6F);
          REQUIRE(kernels.loss_and_gradient(kind, there, labels.data(), 0.125, nullptr) == loss);
          // The gradient may be written over the logits.
          REQUIRE(kernels.loss_and_gradient(kind, there, labels.data(), 0.125, gpu_logits.data()) == loss);
          require_close(gpu_logits.read(), expected, 3e-7F, 3e-6F);
        }
      }
    }
  }
}

void check_refused_labels(const std::shared_ptr<Gpu>& gpu) {
  GpuKernels kernels(gpu);
  const std::vector<float> logits(6);
  const OnGpu<float> gpu_logits(gpu, logits);
  for (const float wrong : {-1.0F, 3.0F, 0.5F, std::nanf("")}) {
    const std::vector<float> labels{0.0F, wrong};
    const OnGpu<float> gpu_labels(gpu, labels);
    const LossInput input{.rows = 2, .outputs = 3, .logits = gpu_logits.data(), .labels = gpu_labels.data()};
    REQUIRE_THROWS_WITH(kernels.loss_and_gradient(LossKind::kSoftmaxCrossEntropy, input, labels.data(), 1.0, nullptr), Catch::Contains("row 1"));
  }
}

void check_nan(const std::shared_ptr<Gpu>& gpu) {
  GpuKernels kernels(gpu);
  const OnGpu<float> logits(gpu, {std::nanf(""), 0.0F});
  const std::vector<float> labels{1.0F, 0.0F};
  const OnGpu<float> gpu_labels(gpu, labels);
  const LossInput input{.rows = 2, .outputs = 1, .logits = logits.data(), .labels = gpu_labels.data()};
  REQUIRE(std::isnan(kernels.loss_and_gradient(LossKind::kBinaryCrossEntropy, input, labels.data(), 1.0, nullptr)));
  REQUIRE(std::isnan(kernels.loss_and_gradient(LossKind::kSquaredError, input, labels.data(), 1.0, nullptr)));
}

}  // namespace

TEST_CASE("kernels of the emulated GPU: the dense update agrees with the double-precision reference") { check_dense_update(test::emulated_gpu()); }
TEST_CASE("kernels of a GPU: the dense update agrees with the double-precision reference", "[gpu]") { check_dense_update(test::real_gpu()); }
TEST_CASE("kernels of the emulated GPU: rows that are skipped stay as they are") { check_skipped_rows(test::emulated_gpu()); }
TEST_CASE("kernels of a GPU: rows that are skipped stay as they are", "[gpu]") { check_skipped_rows(test::real_gpu()); }
TEST_CASE("kernels of the emulated GPU: sums of squares and clipping") { check_sums(test::emulated_gpu()); }
TEST_CASE("kernels of a GPU: sums of squares and clipping", "[gpu]") { check_sums(test::real_gpu()); }
TEST_CASE("kernels of the emulated GPU: losses and gradients agree with the double-precision reference") { check_losses(test::emulated_gpu()); }
TEST_CASE("kernels of a GPU: losses and gradients agree with the double-precision reference", "[gpu]") { check_losses(test::real_gpu()); }
TEST_CASE("kernels of the emulated GPU: a class label that is none is refused by its row") { check_refused_labels(test::emulated_gpu()); }
TEST_CASE("kernels of a GPU: a class label that is none is refused by its row", "[gpu]") { check_refused_labels(test::real_gpu()); }
TEST_CASE("kernels of the emulated GPU: a logit that is no number makes the loss none") { check_nan(test::emulated_gpu()); }
TEST_CASE("kernels of a GPU: a logit that is no number makes the loss none", "[gpu]") { check_nan(test::real_gpu()); }
