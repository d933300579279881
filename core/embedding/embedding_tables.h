#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "embedding/engine.h"
#include "embedding/placement.h"
#include "embedding/prepared_ids.h"
#include "embedding/row_requests.h"

namespace rechost {

/// The embedding tables of a run, wherever their rows lie: what a training step calls. A step works on one or more slices of the global
/// batch: request() and fetch(), then forward() and add_gradients() for each slice, then exchange_gradients() and update(). Use without training
/// ends after forward().
///
/// Where there are several ranks, request(), fetch() and exchange_gradients() are calls that all ranks make together. A note travels with the first
/// and the last: a few numbers for all ranks, so that what a step must agree on costs no message of its own.
///
/// One thread; lookups().prepare() may run on others, for later batches, and so may request_ahead(), on one at a time.
class EmbeddingTables {
 public:
  virtual ~EmbeddingTables() = default;

  /// Ids and shapes, as the model sees them: tables whole, with their names and global rows.
  virtual const EmbeddingEngine& lookups() const = 0;

  /// Tells the ranks which rows of each others' are wanted. `slices`: what lookups().prepare() made of them; at most the number that the tables were
  /// made for. `note`: of a size that is the same on all ranks; RowRequests::notes has those of all.
  virtual void request(std::span<const PreparedIds* const> slices, std::span<const double> note, RowRequests& requests);
  /// The same ahead of the step, beside what the step's thread does with these tables: all ranks for the same steps, begin_requests() and the following,
  /// one after another. Where requests_ahead() says no it must not be called.
  virtual bool requests_ahead() const { return false; }
  virtual void begin_requests(std::int64_t /*step*/) {}
  virtual void request_ahead(std::int64_t step, std::span<const PreparedIds* const> slices, std::span<const double> note, RowRequests& requests);
  /// Any thread: one that waits in request_ahead() gets a CommError, and nothing can be asked for ahead any more.
  virtual void end_requests() {}

  /// Gets the rows. Both are borrowed until the step ends; the requests are used up.
  virtual void fetch(std::span<const PreparedIds* const> slices, RowRequests& requests) = 0;
  /// As EmbeddingEngine::forward().
  virtual void forward(std::size_t slice, std::span<float* const> outputs, ThreadPool& pool) = 0;
  /// As in EmbeddingEngine::update(); read before the call returns where there are several slices, else by update().
  virtual void add_gradients(std::size_t slice, std::span<const float* const> gradients, ThreadPool& pool) = 0;
  virtual void exchange_gradients(std::span<const double> note) = 0;
  /// `l2_on_all_rows`: settings.l2 applies to rows that no slice has touched as well.
  virtual void update(const EmbeddingEngine::UpdateSettings& settings, bool l2_on_all_rows, ThreadPool& pool) = 0;

  /// The notes of the last exchange_gradients(), by rank.
  virtual std::span<const std::vector<double>> notes() const = 0;

  virtual const Placement& placement() const = 0;
  /// Of this rank, as the placement has them.
  virtual RowRange held_rows(std::size_t table) const = 0;
  virtual RowRange shown_rows(std::size_t table) const = 0;
  /// Rows whole, by their global numbers, `rows` [count, dim] and `state` [count, state_floats_per_row]; null skips. Throws Error where this rank
  /// does not hold all of them.
  virtual void read_rows(std::size_t table, std::int64_t first, std::int64_t count, float* rows, float* state) const = 0;
  /// Any rows, wherever they lie. All ranks together, each with a range of its own (`count` 0: none) of the same table.
  virtual void read_rows_together(std::size_t table, std::int64_t first, std::int64_t count, float* rows, float* state) const {
    read_rows(table, first, count, rows, state);
  }
  /// The values of one row that this rank holds, in the order of the columns: all, some or none.
  virtual std::vector<float> read_held_values(std::size_t table, std::int64_t row) const;
  /// Keeps what this rank holds of them. Throws Error for rows that are not all in held_rows().
  virtual void write_rows(std::size_t table, std::int64_t first, std::int64_t count, const float* rows, const float* state) = 0;
  virtual std::uint64_t memory_bytes() const = 0;
  /// As EmbeddingEngine::start_rows(), before the fetch() of the step that reads them; rows by their global numbers, all ranks the same ones. Throws
  /// ConfigError where rows lie elsewhere than in the memory of processes: tables on a GPU cannot be dynamic in training.
  virtual void start_rows(std::size_t table, std::span<const std::int32_t> rows, std::span<const std::int64_t> numbers);

  std::size_t table_count() const { return lookups().table_count(); }
  const TableConfig& table(std::size_t index) const { return lookups().table(index); }
  std::int64_t state_floats_per_row(std::size_t table) const { return lookups().state_floats_per_row(table); }
};

/// What decides the placement.
std::vector<TableSize> table_sizes(const std::vector<TableConfig>& tables);

}  // namespace rechost
