#include "embedding/gpu_tables.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "base/error.h"
#include "core/device/gpus.h"
#include "core/embedding/lookup_model.h"
#include "embedding/local_tables.h"

using namespace rechost;
using rechost::test::all_rows;
using rechost::test::all_state;
using rechost::test::Model;
using rechost::test::OnGpu;
using rechost::test::RandomValues;
using rechost::test::ReferenceEngine;
using rechost::test::require_close;

namespace {

constexpr std::uint64_t kSeed = 4711;

/// Three steps with gradients from `random`, each checked against the reference; the second has no gradient for the sequence.
void train(const std::shared_ptr<Gpu>& gpu, GpuTables& tables, ReferenceEngine& reference, const Model& model,
           EmbeddingEngine::UpdateSettings settings, bool l2_on_all_rows, RandomValues& random, ThreadPool& pool) {
  PreparedIds prepared;
  tables.lookups().prepare(model.views(), prepared, pool);
  const PreparedIds* const slice = &prepared;
  for (settings.step = 1; settings.step <= 3; ++settings.step) {
    RowRequests requests;
    tables.fetch({&slice, 1}, requests);
    std::vector<std::unique_ptr<OnGpu<float>>> outputs;
    std::vector<float*> output_pointers;
    for (std::size_t b = 0; b < model.blocks.size(); ++b) {
      const EmbeddingEngine& lookups = tables.lookups();
      const std::int64_t floats = lookups.block_rows(prepared, b) * lookups.block_slots(b) * lookups.block_dim(b);
      outputs.push_back(std::make_unique<OnGpu<float>>(gpu, std::vector<float>(static_cast<std::size_t>(floats), std::nanf(""))));
      output_pointers.push_back(outputs.back()->data());
    }
    tables.forward(0, output_pointers, pool);
    std::vector<std::vector<float>> gradients;
    std::vector<std::unique_ptr<OnGpu<float>>> gradients_there;
    std::vector<const float*> pointers;
    std::vector<const float*> pointers_there;
    for (std::size_t b = 0; b < model.blocks.size(); ++b) {
      const std::vector<float> output = outputs[b]->read();
      require_close(output, reference.forward(model.columns, b));
      gradients.push_back(random.floats(static_cast<std::int64_t>(output.size())));
      gradients_there.push_back(std::make_unique<OnGpu<float>>(gpu, gradients.back()));
      const bool none = settings.step == 2 && b == 1;
      pointers.push_back(none ? nullptr : gradients.back().data());
      pointers_there.push_back(none ? nullptr : gradients_there.back()->data());
    }
    tables.add_gradients(0, pointers_there, pool);
    tables.exchange_gradients({});
    tables.update(settings, l2_on_all_rows, pool);
    reference.update(model.columns, pointers, settings, l2_on_all_rows);
  }
  for (std::size_t t = 0; t < model.tables.size(); ++t) {
    require_close(all_rows(tables, t), reference.rows(t));
    require_close(all_state(tables, t), reference.state(t));
  }
}

struct Case {
  ThreadPool pool{2};
  Model model;
  GpuTables tables;
  ReferenceEngine reference;

  Case(const std::shared_ptr<Gpu>& gpu, std::int64_t dim, OptimizerKind kind, Pooling pooling, std::int64_t rows, RandomValues& random, bool weighted = false)
      : model(dim, kind, pooling, rows, random),
        tables(gpu, model.tables, model.lookups, model.blocks, 1, pool),
        reference(*model.engine(pool), model.lookups, model.blocks) {
    if (weighted) model.weigh_ids(random);
  }
};

void check_training(const std::shared_ptr<Gpu>& gpu) {
  CAPTURE(kSeed);
  RandomValues random(kSeed);
  for (const std::int64_t dim : {1, 3, 16, 100}) {
    for (const OptimizerKind kind : test::kAllOptimizers) {
      for (const Pooling pooling : {Pooling::kSum, Pooling::kMean}) {
        for (const bool weighted : {false, true}) {
          CAPTURE(dim, optimizer_name(kind), pooling == Pooling::kMean, weighted);
          Case made(gpu, dim, kind, pooling, 75, random, weighted);
          train(gpu, made.tables, made.reference, made.model, {}, false, random, made.pool);
        }
      }
    }
  }
}

void check_regularization(const std::shared_ptr<Gpu>& gpu) {
  RandomValues random(kSeed);
  for (const OptimizerKind kind : test::kAllOptimizers) {
    for (const bool l2_on_all_rows : {false, true}) {
      CAPTURE(optimizer_name(kind), l2_on_all_rows);
      Case made(gpu, 6, kind, Pooling::kSum, 40, random);
      train(gpu, made.tables, made.reference, made.model, {.lr_factor = 0.5, .l2 = 0.02, .clip_value = 0.3}, l2_on_all_rows, random, made.pool);
    }
  }
}

void check_batches_of_any_size(const std::shared_ptr<Gpu>& gpu) {
  RandomValues random(kSeed);
  for (const std::int64_t rows : {1, 2, 63, 64, 65, 128, 1000}) {
    CAPTURE(rows);
    Case made(gpu, 8, OptimizerKind::kRowwiseAdagrad, Pooling::kMean, rows, random);
    train(gpu, made.tables, made.reference, made.model, {}, false, random, made.pool);
  }
}

void check_rows(const std::shared_ptr<Gpu>& gpu) {
  RandomValues random(kSeed);
  Case made(gpu, 5, OptimizerKind::kAdam, Pooling::kSum, 10, random);
  const LocalTables local(made.model.tables, made.model.lookups, made.model.blocks, 1, made.pool);
  for (std::size_t t = 0; t < made.tables.table_count(); ++t) {
    // The same bits at the start, wherever the table lies.
    REQUIRE(all_rows(made.tables, t) == all_rows(local, t));
    REQUIRE(all_state(made.tables, t) == all_state(local, t));
  }
  const std::vector<float> rows = random.floats(3 * 5);
  const std::vector<float> state = random.floats(3 * 10);
  const std::vector<float> before = all_rows(made.tables, 1);
  made.tables.write_rows(1, 4, 3, rows.data(), nullptr);
  made.tables.write_rows(1, 4, 3, nullptr, state.data());
  std::vector<float> read_rows(rows.size());
  std::vector<float> read_state(state.size());
  made.tables.read_rows(1, 4, 3, read_rows.data(), read_state.data());
  REQUIRE(read_rows == rows);
  REQUIRE(read_state == state);
  std::vector<float> expected = before;
  std::copy(rows.begin(), rows.end(), expected.begin() + 4 * 5);
  REQUIRE(all_rows(made.tables, 1) == expected);
  REQUIRE_THROWS_AS(made.tables.read_rows(0, 49, 2, read_rows.data(), nullptr), Error);
  REQUIRE_THROWS_AS(made.tables.write_rows(0, -1, 2, rows.data(), nullptr), Error);
}

}  // namespace

TEST_CASE("rows of 16 bits are refused on a GPU") {
  ThreadPool pool(1);
  TableConfig table = test::make_table("t", 10, 4, OptimizerKind::kSgd);
  table.precision = RowPrecision::kBf16;
  REQUIRE_THROWS_WITH(GpuTables(test::emulated_gpu(), {table}, {{0, 0, Pooling::kSum}}, {{{0}}}, 1, pool),
                      "table \"t\": on a GPU rows are fp32; set tables.\"t\".precision = \"fp32\" instead of bf16, or run.device = \"cpu\"");
}

TEST_CASE("tables on the emulated GPU agree with the double-precision reference") { check_training(test::emulated_gpu()); }
TEST_CASE("tables on a GPU agree with the double-precision reference", "[gpu]") { check_training(test::real_gpu()); }
TEST_CASE("tables on the emulated GPU decay and clip as the reference") { check_regularization(test::emulated_gpu()); }
TEST_CASE("tables on a GPU decay and clip as the reference", "[gpu]") { check_regularization(test::real_gpu()); }
TEST_CASE("tables on the emulated GPU take batches of any size") { check_batches_of_any_size(test::emulated_gpu()); }
TEST_CASE("tables on a GPU take batches of any size", "[gpu]") { check_batches_of_any_size(test::real_gpu()); }
TEST_CASE("tables on the emulated GPU start, read and write as on the CPU") { check_rows(test::emulated_gpu()); }
TEST_CASE("tables on a GPU start, read and write as on the CPU", "[gpu]") { check_rows(test::real_gpu()); }
