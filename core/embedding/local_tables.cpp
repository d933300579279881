#include "embedding/local_tables.h"

#include "base/error.h"
#include "embedding/table_storage.h"

namespace rechost {

std::vector<TableSize> table_sizes(const std::vector<TableConfig>& tables) {
  std::vector<TableSize> sizes;
  for (const TableConfig& table : tables) {
    const std::int64_t floats = value_floats(table) + optimizer_state_floats(table.optimizer.kind, table.dim);
    sizes.push_back({table.name, table.rows, floats * static_cast<std::int64_t>(sizeof(float)), table.sharding, table.rank});
  }
  return sizes;
}

void EmbeddingTables::start_rows(std::size_t table, std::span<const std::int32_t> /*rows*/, std::span<const std::int64_t> /*numbers*/) {
  fail<ConfigError>("table \"{}\" has features with encoder = \"dynamic\", which train on the CPU and in one process alone", this->table(table).name);
}

LocalTables::LocalTables(std::vector<TableConfig> tables, std::vector<LookupConfig> lookups, std::vector<BlockConfig> blocks,
                         std::uint64_t seed, ThreadPool& pool)
    : placement_(table_sizes(tables), 1), engine_(std::move(tables), std::move(lookups), std::move(blocks), seed, pool) {}

void LocalTables::fetch(std::span<const PreparedIds* const> slices, std::span<const double> note) {
  if (slices.size() != 1) fail<Error>("{} slices for tables that work on one", slices.size());
  prepared_ = slices.front();
  notes_[0].assign(note.begin(), note.end());
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
