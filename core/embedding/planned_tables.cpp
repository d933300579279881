#include "embedding/planned_tables.h"

#include <algorithm>

#include "base/error.h"
#include "embedding/table_storage.h"

namespace rechost {

PlannedTables::PlannedTables(std::vector<TableConfig> tables, std::vector<LookupConfig> lookups, std::vector<BlockConfig> blocks, ThreadPool& pool)
    : placement_(table_sizes(tables), 1), lookups_(std::move(tables), std::move(lookups), std::move(blocks), 0, pool, EmbeddingEngine::Storage::kElsewhere) {
  memory_bytes();  // refuses what no memory could hold
}

void PlannedTables::fetch(std::span<const PreparedIds* const> slices, RowRequests& requests) {
  if (slices.size() != 1) fail<Error>("{} slices for tables that work on one", slices.size());
  prepared_ = slices.front();
  requests.made = false;
}

void PlannedTables::forward(std::size_t /*slice*/, std::span<float* const> outputs, ThreadPool& /*pool*/) {
  constexpr float kValue = 0.01F;
  for (std::size_t block = 0; block < outputs.size(); ++block) {
    if (outputs[block] == nullptr) continue;
    std::fill_n(outputs[block], lookups_.block_rows(*prepared_, block) * lookups_.block_slots(block) * lookups_.block_dim(block), kValue);
  }
}

void PlannedTables::read_rows(std::size_t table, std::int64_t /*first*/, std::int64_t /*count*/, float* /*rows*/, float* /*state*/) const {
  fail<Error>("table \"{}\" is only planned: it has no rows to read", this->table(table).name);
}

void PlannedTables::write_rows(std::size_t table, std::int64_t /*first*/, std::int64_t /*count*/, const float* /*rows*/, const float* /*state*/) {
  fail<Error>("table \"{}\" is only planned: it has no rows to write", this->table(table).name);
}

std::uint64_t PlannedTables::memory_bytes() const {
  std::uint64_t bytes = 0;
  for (std::size_t t = 0; t < table_count(); ++t) bytes += table_bytes(table(t)).memory;
  return bytes;
}

}  // namespace rechost
