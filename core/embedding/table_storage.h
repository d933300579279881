#pragma once

#include <cstdint>

#include "base/thread_pool.h"
#include "device/host_buffer.h"
#include "embedding/engine.h"

namespace rechost {

/// The rows of one table in memory: row-major, each row its values, then its optimizer state, then padding to `stride` floats.
/// State beside the values costs the update no further cache miss; only this class and the update loops know about it.
class TableStorage {
 public:
  /// Reserves memory; rows are zero until fill(). Throws ConfigError and DeviceError.
  explicit TableStorage(const TableConfig& config);

  /// Starting values from (seed, table name, row, column) alone, and starting state. The pool's threads touch the memory first.
  void fill(const TableConfig& config, std::uint64_t seed, ThreadPool& pool);

  float* rows() { return buffer_.view<float>().data(); }
  const float* rows() const { return buffer_.view<float>().data(); }
  std::int64_t stride() const { return stride_; }
  std::int64_t state_floats() const { return state_floats_; }
  std::uint64_t bytes() const { return buffer_.bytes(); }

 private:
  std::int64_t state_floats_ = 0;
  std::int64_t stride_ = 0;
  HostBuffer buffer_;
};

/// Floats from one row to the next for `floats` of content. Up to a cache line: the next power of two, so that no row lies in two lines.
/// Above: whole lines where that wastes at most an eighth, else whole quarters of a line.
std::int64_t row_stride(std::int64_t floats);

}  // namespace rechost
