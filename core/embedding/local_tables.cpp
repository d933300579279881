#include "embedding/local_tables.h"

#include "base/error.h"
#include "embedding/table_storage.h"

namespace rechost {

namespace {

/// Random numbers come for four columns at once (starting values) or for 32 (the rounding of 16 bits); int8 has one scale for a row.
std::int64_t columns_at_once(const TableConfig& table) {
  switch (table.precision) {
    case RowPrecision::kFp32:
      return 4;
    case RowPrecision::kFp16:
    case RowPrecision::kBf16:
      return 32;
    case RowPrecision::kInt8:
      break;
  }
  return table.dim;
}

}  // namespace

std::vector<TableSize> table_sizes(const std::vector<TableConfig>& tables) {
  std::vector<TableSize> sizes;
  for (const TableConfig& table : tables) {
    const std::int64_t floats = value_floats(table) + optimizer_state_floats(table.optimizer.kind, table.dim);
    TableSize size{table.name, table.rows, floats * static_cast<std::int64_t>(sizeof(float)), table.sharding, table.rank, table.dim};
    size.columns_at_once = columns_at_once(table);
    if (table.optimizer.kind == OptimizerKind::kRowwiseAdagrad) size.whole_row_rule = optimizer_name(table.optimizer.kind);
    size.traffic = table.traffic;
    sizes.push_back(std::move(size));
  }
  return sizes;
}

std::vector<float> EmbeddingTables::read_held_values(std::size_t table, std::int64_t row) const {
  std::vector<float> values(static_cast<std::size_t>(this->table(table).dim));
  read_rows(table, row, 1, values.data(), nullptr);
  return values;
}

void EmbeddingTables::request(std::span<const PreparedIds* const> /*slices*/, std::span<const double> note, RowRequests& requests) {
  requests.notes.assign(1, {note.begin(), note.end()});
  requests.made = true;
}

void EmbeddingTables::request_ahead(std::int64_t step, std::span<const PreparedIds* const> /*slices*/, std::span<const double> /*note*/, RowRequests& /*requests*/) {
  fail<Error>("the rows of step {} were to be asked for ahead, of tables that ask nobody", step);
}

void EmbeddingTables::start_rows(std::size_t table, std::span<const std::int32_t> /*rows*/, std::span<const std::int64_t> /*numbers*/) {
  fail<ConfigError>("table \"{}\" has features with encoder = \"dynamic\", which train on the CPU alone", this->table(table).name);
}

LocalTables::LocalTables(std::vector<TableConfig> tables, std::vector<LookupConfig> lookups, std::vector<BlockConfig> blocks,
                         std::uint64_t seed, ThreadPool& pool)
    : placement_(table_sizes(tables), 1), engine_(std::move(tables), std::move(lookups), std::move(blocks), seed, pool) {}

void LocalTables::fetch(std::span<const PreparedIds* const> slices, RowRequests& requests) {
  if (slices.size() != 1) fail<Error>("{} slices for tables that work on one", slices.size());
  prepared_ = slices.front();
  requests.made = false;
}

void LocalTables::forward(std::size_t /*slice*/, std::span<float* const> outputs, ThreadPool& pool) {
  engine_.forward(*prepared_, outputs, pool);
}

void LocalTables::add_gradients(std::size_t /*slice*/, std::span<const float* const> gradients, ThreadPool& /*pool*/) { gradients_ = gradients; }

void LocalTables::update(const EmbeddingEngine::UpdateSettings& settings, bool l2_on_all_rows, ThreadPool& pool) {
  engine_.update(*prepared_, gradients_, settings, pool);
  if (l2_on_all_rows) engine_.decay_untouched(*prepared_, settings, pool);
}

}  // namespace rechost
