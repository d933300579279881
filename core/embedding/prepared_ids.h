#pragma once

#include <cstdint>
#include <vector>

#include "embedding/reused_array.h"

namespace rechost {

/// One id column as its samples own it, copied from the batch.
struct PreparedColumn {
  std::int64_t first = 0;             ///< position of its first id in the group
  std::int64_t count = 0;             ///< ids
  std::int64_t rows = 0;              ///< samples
  bool one_each = true;               ///< sample i owns exactly id i; else offsets say
  bool weighted = false;              ///< else each id counts 1
  ReusedArray<std::int64_t> offsets;  ///< [rows + 1] from 0 to count; unspecified when one_each
  ReusedArray<float> weights;         ///< [count]; unspecified unless weighted
};

/// The ids of all columns that one table reads, deduplicated. Tables that read the same columns share one group.
/// A position numbers the occurrences of ids over the columns of the group, one column after another, in batch order.
struct PreparedGroup {
  std::vector<PreparedColumn> columns;
  ReusedArray<std::int32_t> ids;              ///< [positions] row numbers as they came
  ReusedArray<std::int32_t> samples;          ///< [positions] which sample of its column; only when some column is not one_each
  ReusedArray<std::int32_t> unique_rows;      ///< [unique] ascending
  ReusedArray<std::int32_t> segment_offsets;  ///< [unique + 1] into `positions`
  ReusedArray<std::int32_t> positions;        ///< [positions] sorted by row, then by position
  ReusedArray<std::int32_t> inverse;          ///< [positions] index into unique_rows

  // Room to sort in.
  ReusedArray<std::uint64_t> keys;
  ReusedArray<std::uint64_t> other_keys;
  ReusedArray<std::int32_t> counts;
};

/// What prepare() learnt of a batch: unique rows per table and the inverse map, used by lookup and update alike. Keeps its memory from
/// batch to batch; holds copies of the ids, so the batch may go before forward() and update() run.
class PreparedIds {
 public:
  const std::vector<PreparedGroup>& groups() const { return groups_; }
  std::uint64_t serial() const { return serial_; }
  /// What the elements take up, those of the room to sort in included.
  std::uint64_t memory_bytes() const {
    std::uint64_t bytes = 0;
    const auto add = [&bytes](const auto& array) { bytes += array.view().size_bytes(); };
    for (const PreparedGroup& group : groups_) {
      for (const PreparedColumn& column : group.columns) {
        add(column.offsets);
        add(column.weights);
      }
      for (const auto* array : {&group.ids, &group.samples, &group.unique_rows, &group.segment_offsets, &group.positions, &group.inverse, &group.counts}) add(*array);
      add(group.keys);
      add(group.other_keys);
    }
    return bytes;
  }

 private:
  friend class EmbeddingEngine;
  std::vector<PreparedGroup> groups_;
  std::uint64_t serial_ = 0;  ///< another for each batch of an engine
};

}  // namespace rechost
