#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "embedding/engine.h"
#include "embedding/prepared_ids.h"
#include "embedding/table_storage.h"

namespace rechost {

/// What the engine's source files share. Nothing else includes this.
struct EmbeddingEngine::Impl {
  /// A lookup with everything that config leaves to be worked out.
  struct Lookup {
    std::size_t table = 0;
    std::size_t column_in_group = 0;  ///< which column of the table's group
    Pooling pooling = Pooling::kSum;
    std::size_t block = 0;
    std::int64_t slot = 0;  ///< in the block
  };

  struct Block {
    std::vector<std::size_t> lookups;  ///< in slot order
    std::int64_t dim = 0;
    bool sequence = false;
  };

  /// Tables that read the same id columns are deduplicated once.
  struct Group {
    std::vector<std::size_t> id_columns;
    std::size_t smallest_table = 0;  ///< the one whose rows bound the ids
  };

  static constexpr std::size_t kNoGroup = static_cast<std::size_t>(-1);

  struct Table {
    explicit Table(TableConfig from, Storage where) : config(std::move(from)) {
      if (where == Storage::kOwn) storage.emplace(config);
    }

    TableConfig config;
    std::optional<TableStorage> storage;              ///< empty: the rows lie elsewhere
    std::size_t group = kNoGroup;                     ///< kNoGroup: no lookup reads the table
    std::vector<std::vector<std::size_t>> by_column;  ///< lookups that read the table, by column of the group
  };

  /// A range of unique rows (update) or of all rows (decay) of one table: what a thread takes at once.
  struct WorkItem {
    std::size_t table = 0;
    std::int64_t begin = 0;
    std::int64_t end = 0;
  };

  std::vector<Table> tables;
  std::vector<Lookup> lookups;
  std::vector<Block> blocks;
  std::vector<Group> groups;
  std::size_t id_column_count = 0;
  std::vector<WorkItem> work;  ///< of the update under way; kept for its memory
  std::uint64_t seed = 0;

  const PreparedGroup& prepared_group(const PreparedIds& prepared, std::size_t table) const {
    return prepared.groups()[tables[table].group];
  }
  const PreparedColumn& prepared_column(const PreparedIds& prepared, const Lookup& lookup) const {
    return prepared_group(prepared, lookup.table).columns[lookup.column_in_group];
  }

  void add_lookups(const std::vector<LookupConfig>& configs);
  void add_blocks(const std::vector<BlockConfig>& configs);
  void check_prepared(const PreparedIds& prepared) const;
};

}  // namespace rechost
