#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/thread_pool.h"
#include "device/host_buffer.h"
#include "embedding/engine.h"
#include "embedding/file_rows.h"

namespace rechost {

/// The rows of one table, in memory or in a file: row-major, each row its values in the table's precision, then its optimizer state as float32, then
/// padding to `stride` floats. State beside the values costs the update no further cache miss; only this class and the update loops know
/// about it.
class TableStorage {
 public:
  /// Reserves memory or the file; rows are zero until fill(). Throws ConfigError, DeviceError, and Error where the file cannot be.
  explicit TableStorage(const TableConfig& config);

  /// Starting values from (seed, table name, row, column) alone, rounded to the nearest, and starting state. The pool's threads touch the
  /// memory first.
  void fill(const TableConfig& config, std::uint64_t seed, ThreadPool& pool);

  /// The same for single rows, each as if it had another number: row rows[i] starts as row numbers[i] would in fill().
  void start_rows(const TableConfig& config, std::uint64_t seed, std::span<const std::int32_t> rows, std::span<const std::int64_t> numbers);

  /// Of a table in memory: its rows, row i at i * stride().
  float* rows() { return buffer_.view<float>().data(); }
  const float* rows() const { return buffer_.view<float>().data(); }
  /// Of a table in a file: null for one in memory.
  FileRows* in_file() { return file_.get(); }
  const FileRows* in_file() const { return file_.get(); }
  std::int64_t stride() const { return stride_; }
  std::int64_t value_floats() const { return value_floats_; }
  std::int64_t state_floats() const { return state_floats_; }
  std::uint64_t bytes() const { return file_ ? file_->memory_bytes() : buffer_.bytes(); }  ///< of memory

  /// Rows [first, first + count) as float32 [count, dim] and state [count, state_floats]; null skips.
  void read(std::int64_t first, std::int64_t count, float* rows, float* state) const;
  /// Returns how many were written before the first row with a value that the precision cannot hold: `count` if there is none.
  std::int64_t write(std::int64_t first, std::int64_t count, const float* rows, const float* state);

 private:
  class RowStarter;

  /// Calls use(first, count, rows) for parts of rows [first, first + count) that lie one after another: of a table in a file copies, which are written back
  /// if kChange.
  template <bool kChange, typename Use>
  void for_each_part(std::int64_t first, std::int64_t count, const Use& use) const;

  std::int64_t dim_ = 0;
  RowPrecision precision_ = RowPrecision::kFp32;
  std::int64_t value_floats_ = 0;
  std::int64_t state_floats_ = 0;
  std::int64_t stride_ = 0;
  HostBuffer buffer_;               ///< empty when the rows are in a file
  std::unique_ptr<FileRows> file_;
};

/// Floats that the values of a row take.
std::int64_t value_floats(const TableConfig& table);

/// What a table takes of memory, and of the disk: its rows with their state and padding, in memory; or cached rows in memory, all on the disk. Throws
/// ConfigError for tables that TableStorage refuses.
struct TableBytes {
  std::uint64_t memory = 0;
  std::uint64_t file = 0;
};
TableBytes table_bytes(const TableConfig& config);

/// What one row takes of it, with its state and padding.
std::int64_t row_bytes(const TableConfig& config);

/// How many rows of a table in a file are in memory too.
std::int64_t cached_rows(const TableConfig& config);

/// Floats from one row to the next for `floats` of content. Up to a cache line: the next power of two, so that no row lies in two lines.
/// Above: whole lines where that wastes at most an eighth, else whole quarters of a line.
std::int64_t row_stride(std::int64_t floats);

}  // namespace rechost
