#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/cache_line.h"
#include "base/time.h"
#include "embedding/engine.h"
#include "embedding/prepared_ids.h"
#include "embedding/table_storage.h"
#include "embedding/tuned_choice.h"

namespace rechost {

/// How many rows of so many floats make up about `lines` cache lines.
inline std::int64_t rows_of_lines(std::int64_t lines, std::int64_t floats) {
  return std::clamp<std::int64_t>(lines / ((floats + kFloatsPerLine - 1) / kFloatsPerLine), 2, 64);
}

/// Times work on at least so many rows; less says nothing.
class TunedWork {
 public:
  TunedWork(TunedChoice<3>& choice, std::int64_t rows) : choice_(choice), rows_(rows), timed_(rows >= kFewestRows && !choice.tuned()) {
    if (timed_) begin_ = std::chrono::steady_clock::now();
  }
  ~TunedWork() {
    if (timed_) choice_.took(seconds_since(begin_) / static_cast<double>(rows_));
  }
  TunedWork(const TunedWork&) = delete;  // times once
  TunedWork& operator=(const TunedWork&) = delete;

 private:
  static constexpr std::int64_t kFewestRows = 4096;

  TunedChoice<3>& choice_;
  std::int64_t rows_;
  bool timed_;
  std::chrono::steady_clock::time_point begin_;
};

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
      if (where == Storage::kOwn) storage = std::make_unique<TableStorage>(config);
    }
    FileRows* in_file() const { return storage ? storage->in_file() : nullptr; }

    TableConfig config;
    std::unique_ptr<TableStorage> storage;            ///< null: the rows lie elsewhere
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

  /// Places in the cache of the rows of a batch, of the tables that lie in files.
  struct Residence {
    std::uint64_t serial = 0;  ///< of the batch; 0: none
    std::vector<ReusedArray<std::int32_t>> slots;  ///< by table: [unique rows]
  };
  mutable Residence residence;  ///< of the last batch that a lookup or an update worked on
  mutable std::atomic<std::uint64_t> last_serial{0};

  // Cache lines of rows that are asked for before they are read and updated.
  mutable TunedChoice<3> lookup_lines{{32, 16, 64}};
  TunedChoice<3> update_lines{{12, 8, 24}};

  /// Has the rows of the batch in memory.
  void bring_in(const PreparedIds& prepared, ThreadPool& pool) const;
  void add_lookups(const std::vector<LookupConfig>& configs);
  void add_blocks(const std::vector<BlockConfig>& configs);
  void check_prepared(const PreparedIds& prepared) const;
};

}  // namespace rechost
