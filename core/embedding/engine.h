#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "embedding/placement.h"
#include "kernels/optimizer.h"
#include "kernels/row_precision.h"

namespace rechost {

/// How the rows of a table start.
struct Initializer {
  enum class Kind { kConstant, kUniform, kNormal };
  Kind kind = Kind::kUniform;
  double a = 0.0;  ///< constant: the value; uniform: lowest; normal: mean
  double b = 0.0;  ///< uniform: highest; normal: standard deviation
};

struct TableConfig {
  std::string name;
  std::int64_t rows = 0;
  std::int64_t dim = 0;
  RowPrecision precision = RowPrecision::kFp32;
  Initializer initializer;
  OptimizerSettings optimizer;
  Sharding sharding = Sharding::kAuto;   ///< for Placement
  int rank = TableSize::kAnyRank;        ///< the same
  RowTraffic traffic = {};               ///< the same
  std::filesystem::path file_directory;  ///< where the file lies that has the rows; empty: they are in memory
  std::int64_t cached_rows = 0;          ///< of them, how many are in memory too; 0: a sixteenth

  bool in_file() const { return !file_directory.empty(); }

  // Of a part of a larger table: starting values and the rounding of 16 bits follow from what its rows and columns are there.
  RowOrder order;
  std::int64_t first_row = 0;     ///< the place of row 0 in that order
  std::int64_t first_column = 0;  ///< a multiple of TableSize::columns_at_once
  std::int64_t number_of(std::int64_t row) const { return order.row_at(first_row + row); }
};

enum class Pooling { kNone, kSum, kMean };

/// One lookup of a model: the ids of `id_column` in `table`, pooled: the sum of w_i times row i, kMean that by the number of ids (not by the sum
/// of weights). A sequence is rows as they are, without
/// weights.
struct LookupConfig {
  std::size_t table = 0;
  std::size_t id_column = 0;  ///< which of the id columns handed to prepare(); several lookups may share one
  Pooling pooling = Pooling::kSum;
};

/// Ids of one feature: sample i owns ids[offsets[i] .. offsets[i+1]); without offsets exactly ids[i]. Borrowed.
struct IdColumnView {
  std::span<const std::int32_t> ids;
  std::span<const std::int64_t> offsets;  ///< [rows + 1] or empty
  std::int64_t rows = 0;
  std::string_view name;  ///< for messages
  std::span<const float> weights = {};  ///< [ids]: what a pooled lookup multiplies the row of each id by; empty: all 1
};

/// A group of lookups that the model reads as one tensor: pooled ones of equal dim and row count as [rows, lookups, dim];
/// a sequence (Pooling::kNone) alone as [ids, dim].
struct BlockConfig {
  std::vector<std::size_t> lookups;  ///< in slot order
};

/// What prepare() learnt of a batch: unique rows per table and the inverse map, used by lookup and update alike.
class PreparedIds;

/// Embedding tables in this process's memory: storage, lookup, gradient sum and update.
///
/// The update of a row happens once per step, with the sum of the gradients of all its occurrences over all lookups that read the table
/// ("exact" update). Sums are made in an order that depends only on the batch, so results do not depend on the number of threads.
class EmbeddingEngine {
 public:
  /// kElsewhere: the rows are kept by somebody else, who hands them over batch by batch. Such an engine checks and deduplicates ids
  /// (prepare), pools rows (forward_from) and sums gradients (sum_gradients); it has nothing to update, read or write.
  enum class Storage { kOwn, kElsewhere };

  /// `tables`' rows are filled from (seed, table name, row, column) alone: independent of threads, order and layout. The threads of `pool`
  /// write them first, so that the pages lie near them. Throws ConfigError for a table without rows or dim or with 2^31 rows or more, for
  /// lookups and blocks that do not fit together, DeviceError when there is not enough memory.
  EmbeddingEngine(std::vector<TableConfig> tables, std::vector<LookupConfig> lookups, std::vector<BlockConfig> blocks, std::uint64_t seed,
                  ThreadPool& pool, Storage storage = Storage::kOwn);
  ~EmbeddingEngine();
  EmbeddingEngine(const EmbeddingEngine&) = delete;  // tables are too large to copy unasked
  EmbeddingEngine& operator=(const EmbeddingEngine&) = delete;

  /// Range-checks, deduplicates and sorts. Throws DataError naming feature, sample row, id and the table's rows. May run on another
  /// thread than forward and update, for a later batch (with a pool of its own). `prepared` is reused: memory is kept, and it holds copies
  /// of the ids, so `id_columns` may go after the call.
  void prepare(std::span<const IdColumnView> id_columns, PreparedIds& prepared, ThreadPool& pool) const;

  /// outputs[b]: [rows, lookups, dim] or [ids, dim] of block b, written whole. A null pointer skips the block.
  void forward(const PreparedIds& prepared, std::span<float* const> outputs, ThreadPool& pool) const;

  /// The same, with the unique rows of the batch taken from table_rows[t]: [unique_rows(t), dim].
  void forward_from(const PreparedIds& prepared, std::span<const float* const> table_rows, std::span<float* const> outputs,
                    ThreadPool& pool) const;

  /// sums[t]: [unique_rows(t), dim], written whole: the sum of the gradients of all occurrences of each row, in batch order. `gradients` as
  /// in update().
  void sum_gradients(const PreparedIds& prepared, std::span<const float* const> gradients, std::span<float* const> sums, ThreadPool& pool) const;

  /// Copies rows of one table: out [ids, dim]. Throws DataError for an id outside the table.
  void gather_rows(std::size_t table, std::span<const std::int32_t> ids, float* out) const;

  /// gradients[b]: as outputs, or null for zero. `step` counts from 1 (bias corrections); `lr_factor` comes from the schedule.
  /// Adds l2 * w to the gradient of each touched row when l2 > 0. clip_value > 0 cuts each element of a row's summed gradient.
  /// Rows of 16 bits are rounded stochastically, by (seed, table name, row, step, column) alone. Throws Error naming table and row where one
  /// would no longer fit; the tables are of no use then; and for tables with rows in int8.
  struct UpdateSettings {
    std::int64_t step = 1;
    double lr_factor = 1.0;
    double l2 = 0.0;
    double clip_value = 0.0;
  };
  void update(const PreparedIds& prepared, std::span<const float* const> gradients, const UpdateSettings& settings, ThreadPool& pool);

  /// Every row once, as if its gradient were l2 * w (L2 over the whole table), rows of `prepared` excepted: update() did those. Throws Error for
  /// tables that lie in a file.
  void decay_untouched(const PreparedIds& prepared, const UpdateSettings& settings, ThreadPool& pool);

  /// Shape of block b: [block_rows, block_slots, block_dim]; slots is 1 for a sequence.
  std::int64_t block_rows(const PreparedIds& prepared, std::size_t block) const;
  std::int64_t block_slots(std::size_t block) const;
  std::int64_t block_dim(std::size_t block) const;

  /// The unique rows that the batch reads of a table, ascending. Borrowed from `prepared`.
  std::span<const std::int32_t> unique_rows(const PreparedIds& prepared, std::size_t table) const;

  std::size_t table_count() const;
  const TableConfig& table(std::size_t index) const;
  std::int64_t state_floats_per_row(std::size_t table) const;

  /// Memory that the tables occupy: rows, state beside them and padding; of those in a file what is cached.
  std::uint64_t memory_bytes() const;

  /// Of a table in a file: how many of the distinct rows of batches were in memory so far, and how many had to come. Else both 0.
  struct CacheUse {
    std::uint64_t hits = 0;
    std::uint64_t misses = 0;
  };
  CacheUse cache_use(std::size_t table) const;

  /// Rows [first, first + count) as plain row-major float32, for checkpoints and export. State: [count, state_floats_per_row]. What was read
  /// is written back without a change; else rows of 16 bits are rounded to the nearest. write_rows() throws DataError for values beyond them.
  void read_rows(std::size_t table, std::int64_t first, std::int64_t count, float* rows, float* state) const;
  void write_rows(std::size_t table, std::int64_t first, std::int64_t count, const float* rows, const float* state);

  /// Rows of a table start anew, row rows[i] with the values that row numbers[i] of a table without bounds would start with: what an admission of
  /// key numbers[i] does. Between update() and the next forward().
  void start_rows(std::size_t table, std::span<const std::int32_t> rows, std::span<const std::int64_t> numbers);

  struct Impl;  ///< of this floor's own source files
  const Impl& impl() const { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace rechost
