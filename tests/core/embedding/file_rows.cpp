#include "embedding/file_rows.h"

#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <memory>
#include <numeric>
#include <vector>

#include "base/error.h"
#include "core/embedding/lookup_model.h"
#include "core/folder.h"
#include "embedding/prepared_ids.h"

using namespace rechost;
using rechost::test::all_rows;
using rechost::test::all_state;
using rechost::test::Folder;
using rechost::test::make_column;
using rechost::test::make_table;
using rechost::test::Model;
using rechost::test::RandomValues;

namespace {

std::vector<std::vector<float>> forward_all(const EmbeddingEngine& engine, const PreparedIds& prepared, std::size_t blocks, ThreadPool& pool) {
  std::vector<std::vector<float>> outputs(blocks);
  std::vector<float*> pointers;
  for (std::size_t b = 0; b < blocks; ++b) {
    outputs[b].assign(static_cast<std::size_t>(engine.block_rows(prepared, b) * engine.block_slots(b) * engine.block_dim(b)), std::nanf(""));
    pointers.push_back(outputs[b].data());
  }
  engine.forward(prepared, pointers, pool);
  return outputs;
}

void require_same_tables(const EmbeddingEngine& one, const EmbeddingEngine& other) {
  for (std::size_t t = 0; t < one.table_count(); ++t) {
    REQUIRE(all_rows(one, t) == all_rows(other, t));
    REQUIRE(all_state(one, t) == all_state(other, t));
  }
}

}  // namespace

TEST_CASE("tables in files have the bits of tables in memory, whatever is cached") {
  constexpr std::uint64_t kSeed = 20;
  CAPTURE(kSeed);
  RandomValues random(kSeed);
  ThreadPool pool(2);
  const Folder folder;
  for (const OptimizerKind kind : test::kAllOptimizers) {
    for (const RowPrecision precision : {RowPrecision::kFp32, RowPrecision::kFp16, RowPrecision::kBf16}) {
      for (const std::int64_t cached : {1, 400, 7000}) {
        CAPTURE(optimizer_name(kind), row_precision_name(precision), cached);
        Model model(17, kind, Pooling::kMean, 75, random, precision);
        const std::int64_t shared_rows = model.tables[1].rows;
        const auto in_memory = model.engine(pool);
        Model filed = model;
        for (const std::size_t t : {0U, 1U}) {
          filed.tables[t].file_directory = folder.path();
          filed.tables[t].cached_rows = cached;
        }
        const auto in_file = filed.engine(pool);
        require_same_tables(*in_memory, *in_file);

        // Each batch is prepared while the one before has not been worked on yet.
        std::vector<PreparedIds> memory_ids(2);
        std::vector<PreparedIds> file_ids(2);
        const auto prepare = [&](std::size_t step) {
          model.columns = {make_column("c0", 75, 1, 50, random), make_column("c1", 75, 1, shared_rows, random), make_column("c2", 75, 5, shared_rows, random)};
          in_memory->prepare(model.views(), memory_ids[step % 2], pool);
          in_file->prepare(model.views(), file_ids[step % 2], pool);
        };
        prepare(0);
        for (std::size_t step = 0; step < 6; ++step) {
          prepare(step + 1);
          const std::vector<std::vector<float>> outputs = forward_all(*in_memory, memory_ids[step % 2], model.blocks.size(), pool);
          REQUIRE(outputs == forward_all(*in_file, file_ids[step % 2], model.blocks.size(), pool));
          std::vector<std::vector<float>> gradients;
          std::vector<const float*> pointers;
          for (const std::vector<float>& output : outputs) gradients.push_back(random.floats(static_cast<std::int64_t>(output.size())));
          for (const std::vector<float>& gradient : gradients) pointers.push_back(gradient.data());
          const EmbeddingEngine::UpdateSettings settings{.step = static_cast<std::int64_t>(step) + 1};
          in_memory->update(memory_ids[step % 2], pointers, settings, pool);
          in_file->update(file_ids[step % 2], pointers, settings, pool);
          if (step == 2) {
            // Some of these rows are cached and some are not.
            const std::vector<float> rows = random.floats(100 * 17);
            const std::int32_t started[] = {0, 1, 120, 299};
            const std::int64_t numbers[] = {9, 8, 7, 6};
            for (EmbeddingEngine* const engine : {in_memory.get(), in_file.get()}) {
              engine->write_rows(1, 3, 100, rows.data(), nullptr);
              engine->start_rows(1, started, numbers);
            }
          }
          require_same_tables(*in_memory, *in_file);
        }
        const std::vector<std::int32_t> some = {3, 0, 299, 3, 17};
        std::vector<float> expected(some.size() * 17);
        std::vector<float> found(expected.size());
        in_memory->gather_rows(1, some, expected.data());
        in_file->gather_rows(1, some, found.data());
        REQUIRE(found == expected);

        const EmbeddingEngine::CacheUse use = in_file->cache_use(1);
        REQUIRE(use.hits > 0);
        REQUIRE(use.misses > 0);
        if (cached == 7000) {
          REQUIRE(use.misses <= static_cast<std::uint64_t>(shared_rows));  // no row came twice
        } else if (shared_rows == 7000) {
          REQUIRE(in_file->memory_bytes() < in_memory->memory_bytes() / 2);
        }
        REQUIRE(in_memory->cache_use(1).misses == 0);
      }
    }
  }
}

TEST_CASE("a cache of a file's rows keeps what is used again and writes back what has changed") {
  const Folder folder;
  ThreadPool pool(2);
  constexpr std::int64_t kStride = 4;
  FileRows rows(folder.path(), "users", 1000, kStride, 8);
  const auto row = [&](std::int64_t index) {
    std::array<float, kStride> values{};
    rows.read(index, 1, values.data());
    return values;
  };
  for (std::int64_t i = 0; i < 1000; ++i) {
    const std::array<float, kStride> values = {static_cast<float>(i)};
    rows.write(i, 1, values.data());
  }
  const auto use = [&](std::vector<std::int32_t> wanted) {
    std::vector<std::int32_t> slots(wanted.size());
    rows.expect(wanted);
    rows.find(wanted, slots.data());
    rows.load(pool);
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      float* const place = rows.cached() + slots[i] * kStride;
      REQUIRE(place[0] == static_cast<float>(wanted[i]));
      place[1] += 1.0f;
      REQUIRE(row(wanted[i])[1] == place[1]);
    }
    rows.mark_changed(slots);
  };
  // Rows 1 and 2 with every batch, beside rows that come once.
  for (std::int32_t batch = 0; batch < 100; ++batch) use({1, 2, 10 + 3 * batch, 11 + 3 * batch, 12 + 3 * batch});
  REQUIRE(rows.hits() == 2 * 99);
  REQUIRE(rows.misses() == 2 + 300);
  REQUIRE(row(1)[1] == 100.0f);
  REQUIRE(row(2)[1] == 100.0f);
  for (std::int64_t i = 10; i < 310; ++i) REQUIRE(row(i)[1] == 1.0f);
  REQUIRE(row(310)[1] == 0.0f);

  // More rows in a batch than there were places.
  std::vector<std::int32_t> many(500);
  std::iota(many.begin(), many.end(), 0);
  use(many);
  REQUIRE(row(1)[1] == 101.0f);
  rows.forget_pages();
  for (std::int64_t i = 0; i < 1000; ++i) REQUIRE(row(i)[0] == static_cast<float>(i));
  for (std::int64_t i = 10; i < 310; ++i) REQUIRE(row(i)[1] == 2.0f);
  REQUIRE(std::filesystem::is_empty(folder.path()));
}

TEST_CASE("a table in a file that cannot be is refused, naming the directory, the bytes and what is free") {
  ThreadPool pool(1);
  TableConfig table = make_table("users", 100, 8, OptimizerKind::kSgd);
  table.file_directory = "/nowhere";
  REQUIRE_THROWS_WITH(EmbeddingEngine({table}, {}, {}, 1, pool), Catch::Contains("/nowhere"));
  const Folder folder;
  table.file_directory = folder.path();
  table.rows = std::int64_t{1} << 30;
  table.dim = 4096;
  REQUIRE_THROWS_WITH(EmbeddingEngine({table}, {}, {}, 1, pool), Catch::Contains("17592186044416 bytes in " + folder.path().string()) && Catch::Contains("bytes are free"));
  REQUIRE(std::filesystem::is_empty(folder.path()));
}

TEST_CASE("rows in a file do not decay all at once") {
  RandomValues random(3);
  ThreadPool pool(1);
  const Folder folder;
  Model model(8, OptimizerKind::kSgd, Pooling::kSum, 10, random);
  model.tables[0].file_directory = folder.path();
  const auto engine = model.engine(pool);
  PreparedIds prepared;
  engine->prepare(model.views(), prepared, pool);
  EmbeddingEngine::UpdateSettings settings;
  settings.l2 = 0.1;
  REQUIRE_THROWS_WITH(engine->decay_untouched(prepared, settings, pool), Catch::Contains("\"alone\" lies in a file"));
}
