// Rows that are given to another key start as that key's row would in a table without bounds.
#include <catch2/catch.hpp>

#include "base/error.h"
#include "core/embedding/lookup_model.h"

using namespace rechost;
using namespace rechost::test;

namespace {

std::unique_ptr<EmbeddingEngine> engine_of(std::int64_t rows, std::int64_t dim, RowPrecision precision, ThreadPool& pool) {
  TableConfig table = make_table("user", rows, dim, OptimizerKind::kAdagrad);
  table.precision = precision;
  return std::make_unique<EmbeddingEngine>(std::vector{table}, std::vector{LookupConfig{0, 0, Pooling::kSum}}, std::vector{BlockConfig{{0}}}, 7, pool);
}

std::vector<float> row_of(const EmbeddingEngine& engine, std::int64_t row) {
  std::vector<float> content(static_cast<std::size_t>(engine.table(0).dim + engine.state_floats_per_row(0)));
  engine.read_rows(0, row, 1, content.data(), content.data() + engine.table(0).dim);
  return content;
}

}  // namespace

TEST_CASE("a row starts anew as the row of its key, state and all") {
  ThreadPool pool(1);
  for (const RowPrecision precision : {RowPrecision::kFp32, RowPrecision::kBf16}) {
    for (const std::int64_t dim : {1, 17}) {
      const auto large = engine_of(100, dim, precision, pool);
      const auto small = engine_of(6, dim, precision, pool);
      const std::vector<float> before = row_of(*small, 3);
      const std::vector<float> ones(static_cast<std::size_t>(dim), 1.0F);
      small->write_rows(0, 4, 1, ones.data(), ones.data());
      const std::vector<std::int32_t> rows{4, 2};
      const std::vector<std::int64_t> keys{99, 0};
      small->start_rows(0, rows, keys);
      CHECK(row_of(*small, 4) == row_of(*large, 99));
      CHECK(row_of(*small, 2) == row_of(*large, 0));
      CHECK(row_of(*small, 3) == before);
      small->start_rows(0, std::vector<std::int32_t>{4}, std::vector<std::int64_t>{-1});
      CHECK(row_of(*small, 4) != row_of(*large, 99));
      CHECK_THROWS_AS(small->start_rows(0, std::vector<std::int32_t>{6}, std::vector<std::int64_t>{1}), Error);
      CHECK_THROWS_AS(small->start_rows(0, rows, std::vector<std::int64_t>{1}), Error);
    }
  }
}
