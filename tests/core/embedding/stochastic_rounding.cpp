// Rows of 16 bits: how updates round them, what does not fit, and what they weigh.
#include <catch2/catch.hpp>
#include <cmath>
#include <functional>
#include <numeric>

#include "base/error.h"
#include "core/embedding/lookup_model.h"
#include "embedding/prepared_ids.h"

using namespace rechost;
using namespace rechost::test;

namespace {

constexpr std::int64_t kDim = 37;  // two vectors of AVX-512 and a rest of five

/// One table with plain gradient descent, every row read once, so that a row loses lr times its gradient in each step.
struct PlainTable {
  PlainTable(std::int64_t rows, RowPrecision precision, double lr, float start, std::uint64_t seed = 5) {
    TableConfig table = make_table("plain", rows, kDim, OptimizerKind::kSgd);
    table.precision = precision;
    table.optimizer.lr = lr;
    table.initializer = {Initializer::Kind::kConstant, static_cast<double>(start), 0.0};
    engine = std::make_unique<EmbeddingEngine>(std::vector{table}, std::vector{LookupConfig{0, 0, Pooling::kSum}}, std::vector{BlockConfig{{0}}},
                                               seed, pool);
    Column column{.name = "c", .ids = {}, .offsets = {}, .rows = rows};
    for (std::int64_t row = 0; row < rows; ++row) column.ids.push_back(static_cast<std::int32_t>(row));
    const IdColumnView views[] = {column.view()};
    engine->prepare(views, prepared, pool);
  }

  void step(std::int64_t number, const std::vector<float>& gradients) {
    const float* const pointers[] = {gradients.data()};
    engine->update(prepared, pointers, {.step = number}, pool);
  }
  std::vector<float> rows() const { return all_rows(*engine, 0); }

  ThreadPool pool{1};
  std::unique_ptr<EmbeddingEngine> engine;
  PreparedIds prepared;
};

}  // namespace

TEST_CASE("steps far below the distance of two numbers add up to what they are worth") {
  // A tenth of a step of the format, downwards; also from zero on, into the subnormal numbers of fp16, and up to a power of two.
  constexpr std::int64_t kRows = 40;
  constexpr std::int64_t kSteps = 300;
  for (const InstructionSet set : instruction_sets()) {
    const WithInstructionSet limit(set);
    for (const RowPrecision precision : {RowPrecision::kFp16, RowPrecision::kBf16}) {
      for (const float start : {1.0f, -0.30078125f, 1000.0f, 0x1.8p-20f, 0x1.8p-16f}) {
        CAPTURE(instruction_set_name(set), row_precision_name(precision), start);
        const double step = 0.1 * step_at(start * 0.999, precision);
        PlainTable table(kRows, precision, step, start);
        const std::vector<float> gradients(static_cast<std::size_t>(kRows * kDim), 1.0f);
        for (std::int64_t i = 1; i <= kSteps; ++i) table.step(i, gradients);
        double sum = 0.0;
        for (const float value : table.rows()) sum += value;
        const double count = kRows * kDim;
        const double expected = start - kSteps * step;
        // The error of a step is at most one distance; of many that are independent, the root of the number of them.
        const double deviation = step_at(std::abs(start) * 2, precision) * 0.5 * std::sqrt(static_cast<double>(kSteps) / count);
        REQUIRE(std::abs(sum / count - expected) < 5.0 * deviation);
        REQUIRE(std::abs(sum / count - expected) < 0.05 * kSteps * step);
      }
    }
  }
}

TEST_CASE("rounding depends on seed, step, row and column, and on nothing else") {
  constexpr std::int64_t kRows = 64;
  // Powers of two: float32 makes no error, so every width of vectors sees the same numbers to round.
  RandomValues random(6);
  std::vector<float> gradients;
  for (std::int64_t i = 0; i < kRows * kDim; ++i) gradients.push_back(random.below(2) == 0 ? 1.0f : -0.5f);
  for (const RowPrecision precision : {RowPrecision::kFp16, RowPrecision::kBf16}) {
    for (const float start : {1.0f, 0x1p-22f}) {
      const auto after = [&](std::uint64_t seed, std::int64_t first_step) {
        PlainTable table(kRows, precision, static_cast<double>(start) * 0x1p-13, start, seed);
        for (std::int64_t i = 0; i < 5; ++i) table.step(first_step + i, gradients);
        return table.rows();
      };
      std::vector<float> baseline;
      for (const InstructionSet set : instruction_sets()) {
        const WithInstructionSet limit(set);
        CAPTURE(instruction_set_name(set), row_precision_name(precision), start);
        const std::vector<float> rows = after(5, 1);
        if (baseline.empty()) baseline = rows;
        REQUIRE(rows == baseline);
        REQUIRE(rows == after(5, 1));
        if (start < 1.0f && precision == RowPrecision::kFp16) continue;  // too rare a change to be seen in five steps
        REQUIRE(rows != after(6, 1));
        REQUIRE(rows != after(5, 2));
      }
    }
  }
}

TEST_CASE("rows and columns are rounded independently of each other") {
  constexpr std::int64_t kRows = 400;
  for (const RowPrecision precision : {RowPrecision::kFp16, RowPrecision::kBf16}) {
    PlainTable table(kRows, precision, 0.5 * step_at(0.999, precision), 1.0f);
    table.step(1, std::vector<float>(static_cast<std::size_t>(kRows * kDim), 1.0f));
    const std::vector<float> rows = table.rows();
    const auto differing = [&](std::int64_t distance) {
      const auto shift = static_cast<std::ptrdiff_t>(distance);
      return 1.0 - std::inner_product(rows.begin(), rows.end() - shift, rows.begin() + shift, 0.0, std::plus<>(), [](float a, float b) { return a == b ? 1.0 : 0.0; }) /
                       static_cast<double>(rows.end() - rows.begin() - shift);
    };
    // Half of 14,800 pairs differ, give or take six deviations.
    for (const std::int64_t distance : {std::int64_t{1}, std::int64_t{16}, kDim, 2 * kDim}) {
      CAPTURE(row_precision_name(precision), distance);
      REQUIRE(std::abs(differing(distance) - 0.5) < 0.025);
    }
  }
}

TEST_CASE("numbers that the precision holds exactly are not moved by rounding") {
  constexpr std::int64_t kRows = 200;
  for (const InstructionSet set : instruction_sets()) {
    const WithInstructionSet limit(set);
    for (const RowPrecision precision : {RowPrecision::kFp16, RowPrecision::kBf16}) {
      CAPTURE(instruction_set_name(set), row_precision_name(precision));
      PlainTable table(kRows, precision, 1.0, 0.0f);
      RandomValues random(7);
      std::vector<float> rows = random.floats(kRows * kDim, -2.0f, 2.0f);
      for (std::size_t i = 0; i < rows.size(); i += 3) rows[i] *= 1e-6f;  // subnormal in fp16
      rows[1] = largest_value(precision);
      rows[2] = -largest_value(precision);
      table.engine->write_rows(0, 0, kRows, rows.data(), nullptr);
      const std::vector<float> before = table.rows();
      REQUIRE(before[1] == rows[1]);
      for (std::int64_t i = 1; i <= 20; ++i) table.step(i, std::vector<float>(rows.size(), 0.0f));
      REQUIRE(table.rows() == before);
    }
  }
}

TEST_CASE("an update that a row cannot hold is an error with the names of table and row") {
  for (const InstructionSet set : instruction_sets()) {
    const WithInstructionSet limit(set);
    for (const std::int64_t column : {std::int64_t{0}, kDim - 1}) {
      CAPTURE(instruction_set_name(set), column);
      std::vector<float> gradients(static_cast<std::size_t>(10 * kDim), 0.0f);
      PlainTable half(10, RowPrecision::kFp16, 1.0, 1.0f);
      gradients[static_cast<std::size_t>(7 * kDim + column)] = 65600.0f;
      REQUIRE_THROWS_WITH(half.step(3, gradients),
                          "step 3: the update of table \"plain\" makes row 7 NaN or larger than 65504, the largest number of fp16: set the table's "
                          "precision to bf16, lower its lr, or set regularization.clip_value");
      PlainTable brain(10, RowPrecision::kBf16, 1.0, 1.0f);
      brain.step(3, gradients);
      gradients[static_cast<std::size_t>(7 * kDim + column)] = std::nanf("");
      REQUIRE_THROWS_WITH(brain.step(4, gradients), Catch::Matchers::Contains("makes row 7 NaN or larger than 3.3895314e+38"));
    }
  }
  // What an optimizer makes of the lanes behind the last column is no error: adagrad without eps divides zero by zero there.
  TableConfig table = make_table("t", 4, 3, OptimizerKind::kAdagrad);
  table.precision = RowPrecision::kBf16;
  table.optimizer.eps = 0.0;
  table.optimizer.initial_accumulator = 0.0;
  ThreadPool pool(1);
  EmbeddingEngine engine({table}, {{0, 0, Pooling::kSum}}, {{{0}}}, 1, pool);
  PreparedIds prepared;
  const std::vector<std::int32_t> ids{2};
  const IdColumnView views[] = {{.ids = ids, .offsets = {}, .rows = 1, .name = "c"}};
  engine.prepare(views, prepared, pool);
  const float gradient[] = {1.0f, -1.0f, 0.5f};
  const float* const pointers[] = {gradient};
  for (const InstructionSet set : instruction_sets()) {
    const WithInstructionSet limit(set);
    REQUIRE_NOTHROW(engine.update(prepared, pointers, {.step = 1}, pool));
  }
}

TEST_CASE("rows of 16 bits are written to the nearest, refused where they do not fit, and take half the room") {
  ThreadPool pool(1);
  TableConfig table = make_table("t", 100, 32, OptimizerKind::kSgd);
  table.first_row = 1000;
  table.precision = RowPrecision::kFp16;
  EmbeddingEngine engine({table}, {{0, 0, Pooling::kSum}}, {{{0}}}, 1, pool);
  REQUIRE(engine.memory_bytes() == 100 * 64);
  std::vector<float> rows(64, 1.0f + 0x1p-12f);
  engine.write_rows(0, 10, 2, rows.data(), nullptr);
  std::vector<float> read(64);
  engine.read_rows(0, 10, 2, read.data(), nullptr);
  REQUIRE(read == std::vector<float>(64, 1.0f));
  rows[40] = -70000.0f;
  REQUIRE_THROWS_WITH(engine.write_rows(0, 10, 2, rows.data(), nullptr),
                      "table \"t\": row 1011 holds a value beyond 65504, the largest of fp16: set its precision to bf16 or fp32, or scale its rows down");
  table.initializer = {Initializer::Kind::kConstant, 1e5, 0.0};
  REQUIRE_THROWS_WITH(EmbeddingEngine({table}, {{0, 0, Pooling::kSum}}, {{{0}}}, 1, pool),
                      "table \"t\": its starting values go beyond 65504, the largest of fp16; use a smaller init_scale, or bf16 or fp32");
}

TEST_CASE("a lookup of rows of 16 bits gives what read_rows gives") {
  ThreadPool pool(1);
  for (const InstructionSet set : instruction_sets()) {
    const WithInstructionSet limit(set);
    for (const std::int64_t dim : {1, 2, 3, 4, 5, 8, 15, 16, 17, 31, 64, 100}) {
      for (const RowPrecision precision : {RowPrecision::kFp16, RowPrecision::kBf16}) {
        CAPTURE(instruction_set_name(set), dim, row_precision_name(precision));
        TableConfig table = make_table("t", 300, dim, OptimizerKind::kRowwiseAdagrad);
        table.precision = precision;
        table.initializer = {Initializer::Kind::kNormal, 0.0, 1e-4};  // every second is subnormal in fp16
        const EmbeddingEngine engine({table}, {{0, 0, Pooling::kSum}}, {{{0}}}, 1, pool);
        std::vector<std::int32_t> ids;
        for (std::int32_t id = 299; id >= 0; --id) ids.push_back(id);
        std::vector<float> found(static_cast<std::size_t>(300 * dim));
        engine.gather_rows(0, ids, found.data());
        const std::vector<float> rows = all_rows(engine, 0);
        for (std::size_t row = 0; row < 300; ++row) {
          const auto begin = static_cast<std::ptrdiff_t>(row * static_cast<std::size_t>(dim));
          REQUIRE(std::equal(rows.begin() + begin, rows.begin() + begin + dim, found.begin() + (299 * dim - begin)));
        }
      }
    }
  }
}
