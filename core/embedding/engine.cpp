#include "embedding/engine.h"

#include <algorithm>

#include "base/error.h"
#include "embedding/engine_impl.h"

namespace rechost {

void EmbeddingEngine::Impl::add_lookups(const std::vector<LookupConfig>& configs) {
  std::vector<std::vector<std::size_t>> columns_of(tables.size());
  for (const LookupConfig& config : configs) {
    if (config.table >= tables.size()) {
      fail<ConfigError>("lookup {} reads table {}, but there are {} tables", lookups.size(), config.table, tables.size());
    }
    std::vector<std::size_t>& columns = columns_of[config.table];
    const auto found = std::find(columns.begin(), columns.end(), config.id_column);
    lookups.push_back(
        {.table = config.table, .column_in_group = static_cast<std::size_t>(found - columns.begin()), .pooling = config.pooling});
    if (found == columns.end()) columns.push_back(config.id_column);
    id_column_count = std::max(id_column_count, config.id_column + 1);
  }
  for (std::size_t index = 0; index < tables.size(); ++index) {
    if (columns_of[index].empty()) continue;
    Table& table = tables[index];
    const auto same = std::find_if(groups.begin(), groups.end(), [&](const Group& group) { return group.id_columns == columns_of[index]; });
    table.group = static_cast<std::size_t>(same - groups.begin());
    if (same == groups.end()) {
      groups.push_back({columns_of[index], index});
    } else if (table.config.rows < tables[same->smallest_table].config.rows) {
      same->smallest_table = index;
    }
    table.by_column.resize(columns_of[index].size());
  }
  for (std::size_t index = 0; index < lookups.size(); ++index) {
    tables[lookups[index].table].by_column[lookups[index].column_in_group].push_back(index);
  }
}

void EmbeddingEngine::Impl::add_blocks(const std::vector<BlockConfig>& configs) {
  std::vector<bool> placed(lookups.size());
  for (const BlockConfig& config : configs) {
    Block block{.lookups = config.lookups};
    for (std::size_t slot = 0; slot < config.lookups.size(); ++slot) {
      const std::size_t index = config.lookups[slot];
      if (index >= lookups.size()) {
        fail<ConfigError>("block {} holds lookup {}, but there are {} lookups", blocks.size(), index, lookups.size());
      }
      if (placed[index]) fail<ConfigError>("lookup {} stands in a second place in block {}", index, blocks.size());
      placed[index] = true;
      Lookup& lookup = lookups[index];
      lookup.block = blocks.size();
      lookup.slot = static_cast<std::int64_t>(slot);
      const TableConfig& table = tables[lookup.table].config;
      if (slot == 0) block.dim = table.dim;
      if (table.dim != block.dim) {
        fail<ConfigError>("block {}: table \"{}\" has dim {}, the lookups before it {}; a block needs one dim", blocks.size(), table.name,
                          table.dim, block.dim);
      }
      if (lookup.pooling == Pooling::kNone) block.sequence = true;
    }
    if (block.lookups.empty()) fail<ConfigError>("block {} holds no lookup", blocks.size());
    if (block.sequence && block.lookups.size() > 1) {
      fail<ConfigError>("block {} holds an unpooled lookup and others; an unpooled lookup needs a block of its own", blocks.size());
    }
    blocks.push_back(std::move(block));
  }
  const auto missing = std::find(placed.begin(), placed.end(), false);
  if (missing != placed.end()) fail<ConfigError>("lookup {} is in no block", missing - placed.begin());
}

void EmbeddingEngine::Impl::check_prepared(const PreparedIds& prepared) const {
  if (prepared.groups().size() != groups.size()) fail<Error>("the ids were not prepared by this engine");
}

void EmbeddingEngine::Impl::bring_in(const PreparedIds& prepared, ThreadPool& pool) const {
  if (residence.serial == prepared.serial()) return;
  std::vector<std::size_t> in_file;
  for (std::size_t t = 0; t < tables.size(); ++t) {
    if (tables[t].in_file() != nullptr && tables[t].group != kNoGroup) in_file.push_back(t);
  }
  residence.slots.resize(tables.size());
  pool.parallel_for(static_cast<std::int64_t>(in_file.size()), [&](std::int64_t i) {
    const std::size_t t = in_file[static_cast<std::size_t>(i)];
    const std::span<const std::int32_t> rows = prepared_group(prepared, t).unique_rows.view();
    residence.slots[t].resize_unspecified(static_cast<std::int64_t>(rows.size()));
    tables[t].in_file()->find(rows, residence.slots[t].data());
  });
  for (const std::size_t t : in_file) tables[t].in_file()->load(pool);
  residence.serial = prepared.serial();
}

EmbeddingEngine::EmbeddingEngine(std::vector<TableConfig> tables, std::vector<LookupConfig> lookups, std::vector<BlockConfig> blocks,
                                 std::uint64_t seed, ThreadPool& pool, Storage storage)
    : impl_(std::make_unique<Impl>()) {
  impl_->seed = seed;
  impl_->tables.reserve(tables.size());
  for (TableConfig& table : tables) impl_->tables.emplace_back(std::move(table), storage);
  impl_->add_lookups(lookups);
  impl_->add_blocks(blocks);
  if (storage == Storage::kElsewhere) return;
  for (Impl::Table& table : impl_->tables) table.storage->fill(table.config, seed, pool);
}

EmbeddingEngine::~EmbeddingEngine() = default;

std::int64_t EmbeddingEngine::block_rows(const PreparedIds& prepared, std::size_t block) const {
  impl_->check_prepared(prepared);
  const Impl::Block& of = impl_->blocks.at(block);
  const PreparedColumn& column = impl_->prepared_column(prepared, impl_->lookups[of.lookups.front()]);
  return of.sequence ? column.count : column.rows;
}

std::int64_t EmbeddingEngine::block_slots(std::size_t block) const {
  return static_cast<std::int64_t>(impl_->blocks.at(block).lookups.size());
}

std::int64_t EmbeddingEngine::block_dim(std::size_t block) const { return impl_->blocks.at(block).dim; }

std::span<const std::int32_t> EmbeddingEngine::unique_rows(const PreparedIds& prepared, std::size_t table) const {
  impl_->check_prepared(prepared);
  if (impl_->tables.at(table).group == Impl::kNoGroup) return {};
  return impl_->prepared_group(prepared, table).unique_rows.view();
}

std::size_t EmbeddingEngine::table_count() const { return impl_->tables.size(); }

const TableConfig& EmbeddingEngine::table(std::size_t index) const { return impl_->tables.at(index).config; }

std::int64_t EmbeddingEngine::state_floats_per_row(std::size_t table) const {
  const TableConfig& config = impl_->tables.at(table).config;
  return optimizer_state_floats(config.optimizer.kind, config.dim);
}

std::uint64_t EmbeddingEngine::memory_bytes() const {
  std::uint64_t bytes = 0;
  for (const Impl::Table& table : impl_->tables) bytes += table.storage ? table.storage->bytes() : 0;
  return bytes;
}

EmbeddingEngine::CacheUse EmbeddingEngine::cache_use(std::size_t table) const {
  const FileRows* const rows = impl_->tables.at(table).in_file();
  return rows == nullptr ? CacheUse{} : CacheUse{rows->hits(), rows->misses()};
}

namespace {

void check_range(const TableConfig& table, std::int64_t first, std::int64_t count) {
  if (first < 0 || count < 0 || first > table.rows - count) {
    fail<Error>("rows {} to {} are not all in table \"{}\" with {} rows", first, first + count, table.name, table.rows);
  }
}

}  // namespace

void EmbeddingEngine::read_rows(std::size_t table, std::int64_t first, std::int64_t count, float* rows, float* state) const {
  const Impl::Table& of = impl_->tables.at(table);
  check_range(of.config, first, count);
  of.storage->read(first, count, rows, state);
}

void EmbeddingEngine::start_rows(std::size_t table, std::span<const std::int32_t> rows, std::span<const std::int64_t> numbers) {
  Impl::Table& of = impl_->tables.at(table);
  if (rows.size() != numbers.size()) fail<Error>("{} rows of table \"{}\" and {} numbers", rows.size(), of.config.name, numbers.size());
  for (const std::int32_t row : rows) check_range(of.config, row, 1);
  of.storage->start_rows(of.config, impl_->seed, rows, numbers);
}

void EmbeddingEngine::write_rows(std::size_t table, std::int64_t first, std::int64_t count, const float* rows, const float* state) {
  Impl::Table& of = impl_->tables.at(table);
  check_range(of.config, first, count);
  const std::int64_t fitting = of.storage->write(first, count, rows, state);
  if (fitting < count) {
    fail<DataError>("table \"{}\": row {} holds a value beyond {}, the largest of {}: set its precision to bf16 or fp32, or scale its rows down",
                    of.config.name, of.config.number_of(first + fitting), largest_value(of.config.precision),
                    row_precision_name(of.config.precision));
  }
}

}  // namespace rechost
