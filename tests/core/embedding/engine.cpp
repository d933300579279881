#include "embedding/engine.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <thread>

#include "base/error.h"
#include "core/embedding/lookup_model.h"
#include "embedding/prepared_ids.h"

using namespace rechost;
using rechost::test::all_rows;
using rechost::test::all_state;
using rechost::test::Column;
using rechost::test::make_column;
using rechost::test::make_table;
using rechost::test::Model;
using rechost::test::RandomValues;
using rechost::test::ReferenceEngine;
using rechost::test::require_close;
using rechost::test::require_rounded;

namespace {

std::vector<float> forward_block(const EmbeddingEngine& engine, const PreparedIds& prepared, std::size_t block, std::size_t blocks,
                                 ThreadPool& pool) {
  const std::int64_t floats = engine.block_rows(prepared, block) * engine.block_slots(block) * engine.block_dim(block);
  std::vector<float> output(static_cast<std::size_t>(floats), std::nanf(""));
  std::vector<float*> outputs(blocks);
  outputs[block] = output.data();
  engine.forward(prepared, outputs, pool);
  return output;
}

/// Adam divides by the size of the gradient: where gradients nearly cancel, the last bits of their sum decide on a part of a step.
double tolerance_of(OptimizerKind kind) { return kind == OptimizerKind::kAdam || kind == OptimizerKind::kAdamW ? 5e-5 : 1e-5; }

/// Steps `engine` three times with gradients from `random`, and `reference` beside it if there is one.
void train(EmbeddingEngine& engine, ReferenceEngine* reference, const Model& model, EmbeddingEngine::UpdateSettings settings,
           bool decay_all, RandomValues& random, ThreadPool& pool) {
  PreparedIds prepared;
  engine.prepare(model.views(), prepared, pool);
  for (settings.step = 1; settings.step <= 3; ++settings.step) {
    std::vector<std::vector<float>> gradients;
    std::vector<const float*> pointers;
    for (std::size_t b = 0; b < model.blocks.size(); ++b) {
      const std::vector<float> output = forward_block(engine, prepared, b, model.blocks.size(), pool);
      if (reference != nullptr) require_close(output, reference->forward(model.columns, b), tolerance_of(model.tables[0].optimizer.kind));
      gradients.push_back(random.floats(static_cast<std::int64_t>(output.size())));
      // The second step has no gradient for the sequence.
      pointers.push_back(settings.step == 2 && b == 1 ? nullptr : gradients.back().data());
    }
    engine.update(prepared, pointers, settings, pool);
    if (decay_all) engine.decay_untouched(prepared, settings, pool);
    if (reference == nullptr) continue;
    reference->update(model.columns, pointers, settings, decay_all);
    for (std::size_t t = 0; t < model.tables.size(); ++t) {
      if (model.tables[t].precision == RowPrecision::kFp32) continue;
      const std::vector<float> rows = all_rows(engine, t);
      require_rounded(rows, reference->rows(t), model.tables[t].precision);
      reference->set_rows(t, rows);
    }
  }
}

constexpr RowPrecision kAllPrecisions[] = {RowPrecision::kFp32, RowPrecision::kFp16, RowPrecision::kBf16};

}  // namespace

TEST_CASE("lookups and updates agree with the double-precision reference for every pooling, optimizer, precision and dim") {
  constexpr std::uint64_t kSeed = 4711;
  CAPTURE(kSeed);
  RandomValues random(kSeed);
  ThreadPool pool(2);
  for (const InstructionSet set : test::instruction_sets()) {
    const test::WithInstructionSet limit(set);
    for (const std::int64_t dim : {1, 3, 16, 17, 64, 128, 1023}) {
      for (const OptimizerKind kind : test::kAllOptimizers) {
        for (const RowPrecision precision : kAllPrecisions) {
          for (const Pooling pooling : {Pooling::kSum, Pooling::kMean}) {
            for (const bool weighted : {false, true}) {
              CAPTURE(instruction_set_name(set), dim, optimizer_name(kind), row_precision_name(precision), pooling == Pooling::kMean, weighted);
              Model model(dim, kind, pooling, 75, random, precision);
              if (weighted) model.weigh_ids(random);
              const auto engine = model.engine(pool);
              ReferenceEngine reference(*engine, model.lookups, model.blocks);
              train(*engine, &reference, model, {}, false, random, pool);
              for (std::size_t t = 0; t < model.tables.size(); ++t) {
                require_close(all_rows(*engine, t), reference.rows(t), tolerance_of(kind));
                require_close(all_state(*engine, t), reference.state(t));
              }
            }
          }
        }
      }
    }
  }
}

TEST_CASE("rows in int8 are within half a step of what was written, are looked up as they are read, and cannot be updated") {
  RandomValues random(77);
  ThreadPool pool(2);
  for (const InstructionSet set : test::instruction_sets()) {
    const test::WithInstructionSet limit(set);
    for (const std::int64_t dim : {1, 2, 3, 4, 7, 8, 16, 17, 31, 64, 128, 1023}) {
      for (const Pooling pooling : {Pooling::kSum, Pooling::kMean}) {
        for (const bool weighted : {false, true}) {
          CAPTURE(instruction_set_name(set), dim, pooling == Pooling::kMean, weighted);
          Model model(dim, OptimizerKind::kSgd, pooling, 75, random, RowPrecision::kInt8);
          if (weighted) model.weigh_ids(random);
          const auto engine = model.engine(pool);
          for (std::size_t t = 0; t < model.tables.size(); ++t) {
            const std::int64_t count = model.tables[t].rows;
            const std::int64_t width = model.tables[t].dim;
            const std::vector<float> given = random.floats(count * width);
            engine->write_rows(t, 0, count, given.data(), nullptr);
            const std::vector<float> kept = all_rows(*engine, t);
            for (std::int64_t row = 0; row < count; ++row) {
              const auto first = given.begin() + row * width;
              const auto [least, largest] = std::minmax_element(first, first + width);
              const float step = (*largest - *least) / 255.0f;
              for (std::int64_t i = row * width; i < (row + 1) * width; ++i) {
                const auto at = static_cast<std::size_t>(i);
                REQUIRE(std::abs(kept[at] - given[at]) <= 0.501f * step);
              }
            }
          }
          const ReferenceEngine reference(*engine, model.lookups, model.blocks);
          PreparedIds prepared;
          engine->prepare(model.views(), prepared, pool);
          for (std::size_t b = 0; b < model.blocks.size(); ++b) {
            require_close(forward_block(*engine, prepared, b, model.blocks.size(), pool), reference.forward(model.columns, b));
          }
          const std::vector<const float*> none(model.blocks.size());
          REQUIRE_THROWS_WITH(engine->update(prepared, none, {}, pool), Catch::Contains("rows in int8"));
          const float infinite[] = {HUGE_VALF};
          REQUIRE_THROWS_AS(engine->write_rows(2, 0, 1, infinite, nullptr), DataError);
        }
      }
    }
  }
}

TEST_CASE("l2, clipping and the decay of rows that no sample touched agree with the reference") {
  RandomValues random(12);
  ThreadPool pool(2);
  for (const InstructionSet set : test::instruction_sets()) {
    const test::WithInstructionSet limit(set);
    for (const OptimizerKind kind : test::kAllOptimizers) {
      for (const RowPrecision precision : kAllPrecisions) {
        for (const bool decay_all : {false, true}) {
          CAPTURE(instruction_set_name(set), optimizer_name(kind), row_precision_name(precision), decay_all);
          const Model model(12, kind, Pooling::kMean, 40, random, precision);
          const auto engine = model.engine(pool);
          ReferenceEngine reference(*engine, model.lookups, model.blocks);
          train(*engine, &reference, model, {.lr_factor = 0.5, .l2 = 0.01, .clip_value = 0.7}, decay_all, random, pool);
          for (std::size_t t = 0; t < model.tables.size(); ++t) {
            require_close(all_rows(*engine, t), reference.rows(t));
            require_close(all_state(*engine, t), reference.state(t));
          }
        }
      }
    }
  }
}

TEST_CASE("training has the same bits on one, two and three threads") {
  for (const InstructionSet set : test::instruction_sets()) {
    const test::WithInstructionSet limit(set);
    for (const OptimizerKind kind : test::kAllOptimizers) {
      for (const RowPrecision precision : kAllPrecisions) {
        std::vector<std::vector<float>> first;
        for (const int threads : {1, 2, 3}) {
          CAPTURE(instruction_set_name(set), optimizer_name(kind), row_precision_name(precision), threads);
          RandomValues random(31);
          ThreadPool pool(threads);
          Model model(20, kind, Pooling::kMean, 3000, random, precision);
          if (precision == RowPrecision::kFp32) model.weigh_ids(random);
          const auto engine = model.engine(pool);
          train(*engine, nullptr, model, {.l2 = 0.001}, true, random, pool);
          for (std::size_t t = 0; t < model.tables.size(); ++t) {
            if (threads == 1) first.push_back(all_rows(*engine, t));
            REQUIRE(all_rows(*engine, t) == first[t]);
          }
        }
      }
    }
  }
}

TEST_CASE("starting rows depend on seed, table name, row and column only") {
  ThreadPool one(1);
  ThreadPool three(3);
  const auto rows_of = [](std::string name, std::int64_t dim, std::uint64_t seed, ThreadPool& pool, OptimizerKind kind) {
    TableConfig table = make_table(std::move(name), 5000, dim, kind);
    const EmbeddingEngine engine({table}, {{0, 0, Pooling::kSum}}, {{{0}}}, seed, pool);
    return all_rows(engine, 0);
  };
  const std::vector<float> rows = rows_of("a", 10, 5, one, OptimizerKind::kSgd);
  REQUIRE(rows == rows_of("a", 10, 5, three, OptimizerKind::kAdam));
  REQUIRE(rows != rows_of("b", 10, 5, one, OptimizerKind::kSgd));
  REQUIRE(rows != rows_of("a", 10, 6, one, OptimizerKind::kSgd));
  const std::vector<float> narrow = rows_of("a", 3, 5, one, OptimizerKind::kSgd);
  for (std::size_t row = 0; row < 5000; ++row) REQUIRE(std::equal(&narrow[row * 3], &narrow[row * 3] + 3, &rows[row * 10]));
  double sum = 0.0;
  for (const float value : rows) {
    REQUIRE(std::abs(value) <= 0.5f);
    sum += value;
  }
  REQUIRE(std::abs(sum / 50000) < 0.01);
}

TEST_CASE("tables may start normal or constant, and adagrad's state from its accumulator") {
  ThreadPool pool(2);
  TableConfig normal = make_table("n", 10000, 5, OptimizerKind::kAdagrad);
  normal.initializer = {Initializer::Kind::kNormal, 2.0, 0.5};
  TableConfig constant = make_table("c", 10, 5, OptimizerKind::kAdam);
  constant.initializer = {Initializer::Kind::kConstant, 0.25, 0.0};
  const EmbeddingEngine engine({normal, constant}, {{0, 0, Pooling::kSum}}, {{{0}}}, 1, pool);
  double sum = 0.0;
  double squares = 0.0;
  for (const float value : all_rows(engine, 0)) {
    sum += value - 2.0;
    squares += (value - 2.0) * (value - 2.0);
  }
  REQUIRE(std::abs(sum / 50000) < 0.02);
  REQUIRE(std::sqrt(squares / 50000) == Approx(0.5).epsilon(0.02));
  REQUIRE(all_state(engine, 0) == std::vector<float>(50000, 0.02f));
  REQUIRE(all_rows(engine, 1) == std::vector<float>(50, 0.25f));
  REQUIRE(all_state(engine, 1) == std::vector<float>(100, 0.0f));
}

TEST_CASE("rows and state written are the rows and state read") {
  ThreadPool pool(1);
  RandomValues random(8);
  EmbeddingEngine engine({make_table("t", 20, 3, OptimizerKind::kAdam)}, {{0, 0, Pooling::kSum}}, {{{0}}}, 1, pool);
  REQUIRE(engine.state_floats_per_row(0) == 6);
  REQUIRE(engine.memory_bytes() == 20 * 16 * sizeof(float));
  const std::vector<float> rows = random.floats(5 * 3);
  const std::vector<float> state = random.floats(5 * 6);
  const std::vector<float> before = all_rows(engine, 0);
  engine.write_rows(0, 7, 5, rows.data(), state.data());
  std::vector<float> read(rows.size());
  std::vector<float> read_state(state.size());
  engine.read_rows(0, 7, 5, read.data(), read_state.data());
  REQUIRE(read == rows);
  REQUIRE(read_state == state);
  REQUIRE(std::equal(before.begin(), before.begin() + 21, all_rows(engine, 0).begin()));
  REQUIRE_THROWS_AS(engine.read_rows(0, 16, 5, read.data(), nullptr), Error);
}

TEST_CASE("a batch may be prepared on another thread while the one before it trains") {
  RandomValues random(77);
  ThreadPool pool(2);
  const Model model(16, OptimizerKind::kAdagrad, Pooling::kSum, 500, random);
  const auto engine = model.engine(pool);
  PreparedIds ahead;
  std::thread side([&] {
    ThreadPool alone(1);
    for (int i = 0; i < 20; ++i) engine->prepare(model.views(), ahead, alone);
  });
  train(*engine, nullptr, model, {}, false, random, pool);
  side.join();
  REQUIRE(ahead.groups().size() == 2);
}
