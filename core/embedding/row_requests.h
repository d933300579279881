#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "comm/communicator.h"
#include "embedding/prepared_ids.h"
#include "embedding/reused_array.h"

namespace rechost {

/// Which rows a step wants from which rank, and which other ranks want from this one: what EmbeddingTables::request() has found out. Keeps its
/// memory from step to step.
struct RowRequests {
  /// The unique rows of one slice and table of which one rank holds something, in what this rank sends and receives.
  struct Segment {
    std::int64_t first = 0;  ///< among the unique rows of slice and table, in the order of by_holder where rows are scattered
    std::int64_t count = 0;
    std::int64_t rows = 0;       ///< where they begin among the rows received, if they come at all, in floats
    std::int64_t gradients = 0;  ///< where they begin among the gradients sent, in floats
  };
  /// A segment of another rank (or this one), seen by the holder.
  struct Request {
    std::int64_t count = 0;
    const std::int32_t* ids = nullptr;  ///< [count] row numbers, in `received`; the holder's first is 0
    std::int64_t rows = 0;       ///< where they begin among the rows sent, if they go at all, in floats
    std::int64_t gradients = 0;  ///< where they begin among the gradients received, in floats
  };
  /// Floats of all segments or requests of each rank.
  struct Totals {
    std::vector<std::int64_t> rows;
    std::vector<std::int64_t> gradients;
  };

  bool made = false;  ///< set by request(), taken back by whoever uses it up
  std::vector<std::vector<double>> notes;  ///< by rank
  Traffic traffic;                         ///< of the exchange

  std::vector<Segment> segments;    ///< [holder, slice, table]
  std::vector<Request> requests;    ///< [asking rank, slice, table]
  Totals segment_floats;            ///< by holder
  Totals request_floats;            ///< by asking rank
  std::vector<ReusedArray<std::int32_t>> by_holder;  ///< [slice, table], of scattered rows: which of the unique rows, holder by holder
  ReusedArray<std::int32_t> holders;                 ///< of the unique rows of one slice and table
  ReusedArray<std::byte> sent;
  std::vector<std::vector<std::byte>> received;      ///< by asking rank
  std::vector<std::vector<std::int32_t>> held_ids;   ///< by held table: row numbers in the order of the slices
  PreparedIds held;                                  ///< the same, deduplicated
  bool held_is_prepared = false;

  std::uint64_t memory_bytes() const {
    std::uint64_t bytes = sent.view().size_bytes() + holders.view().size_bytes() + held.memory_bytes();
    for (const auto& packet : received) bytes += packet.size();
    for (const auto& ids : held_ids) bytes += ids.size() * sizeof(std::int32_t);
    for (const auto& which : by_holder) bytes += which.view().size_bytes();
    return bytes;
  }
};

}  // namespace rechost
