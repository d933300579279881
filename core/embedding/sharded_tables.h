#pragma once

#include <cstddef>
#include <memory>

#include "comm/communicator.h"
#include "embedding/embedding_tables.h"
#include "embedding/reused_array.h"

namespace rechost {

/// Tables whose rows are spread over ranks by a Placement. Each slice asks once for each distinct row that it reads; holders send rows
/// back, and later get one summed gradient for each of them. A holder adds up what the slices sent in the order of the slices and updates
/// each row once, so the result depends on how the global batch was cut into slices, but not on which rank worked on which of them.
///
/// On the wire, between each pair of ranks and step: counts (one number for each table and slice) with the note, int32 row numbers, rows,
/// gradients with the note.
class ShardedTables final : public EmbeddingTables {
 public:
  struct Settings {
    Communicator* communicator = nullptr;  ///< outlives the tables
    std::size_t slices = 1;                ///< most that a rank works on in a step; the same on all ranks
    std::size_t note_size = 0;             ///< most numbers in a note; the same on all ranks
  };

  ShardedTables(const std::vector<TableConfig>& tables, std::vector<LookupConfig> lookups, std::vector<BlockConfig> blocks,
                std::uint64_t seed, ThreadPool& pool, const Settings& settings);

  const EmbeddingEngine& lookups() const override { return lookups_; }
  void fetch(std::span<const PreparedIds* const> slices, std::span<const double> note) override;
  void forward(std::size_t slice, std::span<float* const> outputs, ThreadPool& pool) override;
  void add_gradients(std::size_t slice, std::span<const float* const> gradients, ThreadPool& pool) override;
  void exchange_gradients(std::span<const double> note) override;
  void update(const EmbeddingEngine::UpdateSettings& settings, bool l2_on_all_rows, ThreadPool& pool) override;
  std::span<const std::vector<double>> notes() const override { return notes_; }
  const Placement& placement() const override { return placement_; }
  RowRange own_range(std::size_t table) const override { return placement_.range(table, communicator_.rank()); }
  void read_rows(std::size_t table, std::int64_t first, std::int64_t count, float* rows, float* state) const override;
  void write_rows(std::size_t table, std::int64_t first, std::int64_t count, const float* rows, const float* state) override;
  std::uint64_t memory_bytes() const override { return held_ ? held_->memory_bytes() : 0; }

 private:
  /// The unique rows of one slice and table that one rank holds, in what this rank sends and receives.
  struct Segment {
    std::int64_t first = 0;  ///< among the unique rows of slice and table
    std::int64_t count = 0;
    std::int64_t floats = 0;  ///< where its rows begin in received_rows_, its gradients in sent_gradients_
  };
  /// A segment of another rank (or this one), seen by the holder.
  struct Request {
    std::int64_t count = 0;
    std::int64_t ids = 0;     ///< where its row numbers begin in requested_ids_
    std::int64_t floats = 0;  ///< where its rows begin in sent_rows_, its gradients in received_gradients_
  };

  std::size_t at(std::size_t rank, std::size_t slice, std::size_t table) const { return (rank * slices_ + slice) * table_count() + table; }
  std::vector<TableConfig> held_tables(const std::vector<TableConfig>& tables);
  void find_segments(std::span<const PreparedIds* const> slices);
  void exchange_counts(std::span<const double> note);
  void exchange_ids(std::span<const PreparedIds* const> slices);
  void exchange_rows();
  void join_split_rows();
  std::size_t require_held(std::size_t table, std::int64_t first, std::int64_t count) const;

  Communicator& communicator_;
  std::size_t ranks_;
  std::size_t slices_;
  std::size_t note_size_;
  Placement placement_;
  EmbeddingEngine lookups_;
  std::vector<std::size_t> held_index_;      ///< by table: its number in held_, or kNotHeld
  std::unique_ptr<EmbeddingEngine> held_;    ///< the rows of this rank; null when it holds none
  std::vector<std::vector<double>> notes_;

  // Of the step under way; kept for their memory.
  std::vector<const PreparedIds*> prepared_;
  std::vector<Segment> segments_;            ///< by at(holder, slice, table)
  std::vector<Request> requests_;            ///< by at(asking rank, slice, table)
  std::vector<std::int64_t> segment_floats_;  ///< by holder
  std::vector<std::int64_t> request_floats_;  ///< by asking rank
  ReusedArray<std::int32_t> sent_ids_;
  ReusedArray<std::int32_t> requested_ids_;
  ReusedArray<float> sent_rows_;
  ReusedArray<float> received_rows_;
  ReusedArray<std::byte> sent_gradients_;      ///< for each holder: note, then floats
  ReusedArray<std::byte> received_gradients_;  ///< from each asking rank: note, then floats
  std::vector<ReusedArray<float>> joined_;     ///< by slice and table, of split tables: rows, later gradients, one after another
  std::vector<std::vector<std::int32_t>> held_ids_;      ///< by held table: row numbers in the order of the slices
  std::vector<ReusedArray<float>> held_gradients_;       ///< the same for gradients
  PreparedIds held_prepared_;
};

}  // namespace rechost
