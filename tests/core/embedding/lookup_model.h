#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "core/embedding/reference_engine.h"
#include "core/kernels/random_values.h"
#include "embedding/engine.h"

namespace rechost::test {

/// `rows` samples with up to `most` ids each, bags of none included; `most` 1: exactly one id each and no offsets.
inline Column make_column(std::string name, std::int64_t rows, std::int64_t most, std::int64_t table_rows, RandomValues& random) {
  Column column{.name = std::move(name), .ids = {}, .offsets = {}, .rows = rows};
  if (most > 1) column.offsets.push_back(0);
  for (std::int64_t sample = 0; sample < rows; ++sample) {
    const std::int64_t length = most == 1 ? 1 : random.below(most + 1);
    for (std::int64_t i = 0; i < length; ++i) {
      // Half of all ids fall on a tenth of the rows: duplicates within bags, samples and columns.
      const bool hot = random.below(2) == 0;
      column.ids.push_back(static_cast<std::int32_t>(random.below(hot ? (table_rows + 9) / 10 : table_rows)));
    }
    if (most > 1) column.offsets.push_back(static_cast<std::int64_t>(column.ids.size()));
  }
  return column;
}

inline TableConfig make_table(std::string name, std::int64_t rows, std::int64_t dim, OptimizerKind kind) {
  TableConfig table{.name = std::move(name), .rows = rows, .dim = dim, .initializer = {}, .optimizer = {}};
  table.initializer = {Initializer::Kind::kUniform, -0.5, 0.5};
  table.optimizer.kind = kind;
  table.optimizer.lr = 0.05;
  table.optimizer.weight_decay = 0.1;
  table.optimizer.initial_accumulator = 0.02;
  return table;
}

/// Tables of all sorts of use: one read by one column, one shared by two columns and read pooled and as a sequence, one narrow table on
/// the same columns as another.
struct Model {
  std::vector<TableConfig> tables;
  std::vector<LookupConfig> lookups;
  std::vector<BlockConfig> blocks;
  std::vector<Column> columns;

  Model(std::int64_t dim, OptimizerKind kind, Pooling pooling, std::int64_t rows, RandomValues& random,
        RowPrecision precision = RowPrecision::kFp32) {
    const std::int64_t shared_rows = dim < 500 && precision == RowPrecision::kFp32 ? 7000 : 300;
    tables = {make_table("alone", 50, dim, kind), make_table("shared", shared_rows, dim, kind), make_table("narrow", 60, 1, kind)};
    for (TableConfig& table : tables) table.precision = precision;
    columns = {make_column("c0", rows, 1, 50, random), make_column("c1", rows, 1, shared_rows, random),
               make_column("c2", rows, 5, shared_rows, random)};
    lookups = {{0, 0, Pooling::kSum}, {1, 1, pooling}, {1, 2, pooling}, {1, 2, Pooling::kNone}, {2, 0, Pooling::kSum}};
    blocks = {{{0, 1, 2}}, {{3}}, {{4}}};
  }

  /// Of both columns of the shared table, one with and one without offsets; some are 0 and some below.
  void weigh_ids(RandomValues& random) {
    for (const std::size_t c : {1U, 2U}) {
      for (std::size_t i = 0; i < columns[c].ids.size(); ++i) columns[c].weights.push_back(static_cast<float>(random.below(13) - 4) / 4.0f);
    }
  }

  std::vector<IdColumnView> views() const {
    std::vector<IdColumnView> result;
    for (const Column& column : columns) result.push_back(column.view());
    return result;
  }
  std::unique_ptr<EmbeddingEngine> engine(ThreadPool& pool, std::uint64_t seed = 1) const {
    return std::make_unique<EmbeddingEngine>(tables, lookups, blocks, seed, pool);
  }
};

template <typename Expected>
void require_close(const std::vector<float>& ours, const std::vector<Expected>& expected, double tolerance = 1e-5) {
  REQUIRE(ours.size() == expected.size());
  for (std::size_t i = 0; i < ours.size(); ++i) {
    if (!(std::abs(ours[i] - expected[i]) <= tolerance + tolerance * std::abs(expected[i]))) {
      FAIL("element " << i << " is " << ours[i] << ", expected " << expected[i]);
    }
  }
}

/// The distance between numbers of 16 bits around `value`.
inline double step_at(double value, RowPrecision precision) {
  const int exponent = value == 0.0 ? -1000 : std::ilogb(value);
  if (precision == RowPrecision::kFp16) return std::ldexp(1.0, std::max(exponent, -14) - 10);
  return std::ldexp(1.0, std::max(exponent, -126) - 7);
}

/// Each number is one of the two of that precision that `expected` lies between, but for what float32 adds to it.
inline void require_rounded(const std::vector<float>& ours, const std::vector<double>& expected, RowPrecision precision) {
  REQUIRE(ours.size() == expected.size());
  for (std::size_t i = 0; i < ours.size(); ++i) {
    const double tolerance = 2e-6 + 2e-6 * std::abs(expected[i]);
    const double step = step_at(std::abs(expected[i]) + tolerance, precision);
    const double steps = ours[i] / step_at(ours[i], precision);
    if (steps != std::nearbyint(steps) || !(std::abs(ours[i] - expected[i]) < step + tolerance)) {
      FAIL("element " << i << " is " << ours[i] << ", expected " << expected[i] << " rounded to " << row_precision_name(precision));
    }
  }
}

/// Values of a table of an EmbeddingEngine or EmbeddingTables.
template <typename Tables>
std::vector<float> all_rows(const Tables& tables, std::size_t table) {
  const TableConfig& config = tables.table(table);
  std::vector<float> rows(static_cast<std::size_t>(config.rows * config.dim));
  tables.read_rows(table, 0, config.rows, rows.data(), nullptr);
  return rows;
}

template <typename Tables>
std::vector<float> all_state(const Tables& tables, std::size_t table) {
  std::vector<float> state(static_cast<std::size_t>(tables.table(table).rows * tables.state_floats_per_row(table)));
  tables.read_rows(table, 0, tables.table(table).rows, nullptr, state.data());
  return state;
}

}  // namespace rechost::test
