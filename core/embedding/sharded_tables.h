#pragma once

#include <cstddef>
#include <memory>

#include "comm/communicator.h"
#include "embedding/embedding_tables.h"
#include "embedding/reused_array.h"
#include "embedding/row_requests.h"
#include "kernels/row_precision.h"

namespace rechost {

/// Tables that are spread over ranks by a Placement. Each slice asks once for each distinct row that it reads, every rank that holds something of
/// it; holders send what they hold back, and later get the part of one summed gradient that belongs to it. A holder adds up what the slices sent in
/// the order of the slices and updates each row once, so the result depends on how the global batch was cut into slices, but not on which
/// rank worked on which of them, nor on the placement. All of a table's shards work alike; only where all ranks hold copies are rows not sent, each
/// rank having them, and gradients go to all, so that the copies stay the same to the bit.
///
/// On the wire, between each pair of ranks and step: one packet with the note, counts (one number for each table and slice) and int32 row numbers;
/// rows; gradients with the note. Rows and gradients are rounded to Settings::wire, those that a rank sends to itself as well, so that bits do not
/// depend on the placement. Error where one is too large for that, or no number.
class ShardedTables final : public EmbeddingTables {
 public:
  struct Settings {
    Communicator* communicator = nullptr;  ///< outlives the tables
    Communicator* ahead = nullptr;         ///< of the same ranks, for request_ahead(), used by nobody else meanwhile; outlives the tables. Null: nothing goes ahead
    std::size_t slices = 1;                ///< most that a rank works on in a step; the same on all ranks
    std::size_t note_size = 0;             ///< most numbers in a note; the same on all ranks
    std::int64_t bytes_per_rank = 0;       ///< for the Placement
    int ranks_per_node = 0;                ///< for its RankLayout; 0: those of one host share a node
    WireCosts wire_costs{0.0, 0.0};        ///< likewise; 0: measured, if that could matter for where tables go
    RowPrecision wire = RowPrecision::kFp32;  ///< not kInt8
    /// A power of two by which gradients of 16 bits are larger on the wire: fp16 has no numbers for those of a mean over a large batch.
    float gradient_scale = 1.0F;
  };

  ShardedTables(const std::vector<TableConfig>& tables, std::vector<LookupConfig> lookups, std::vector<BlockConfig> blocks,
                std::uint64_t seed, ThreadPool& pool, const Settings& settings);

  const EmbeddingEngine& lookups() const override { return lookups_; }
  void request(std::span<const PreparedIds* const> slices, std::span<const double> note, RowRequests& requests) override;
  bool requests_ahead() const override { return ahead_ != nullptr; }
  void begin_requests(std::int64_t step) override { next_request_ = step; }
  void request_ahead(std::int64_t step, std::span<const PreparedIds* const> slices, std::span<const double> note, RowRequests& requests) override;
  void end_requests() override;
  void fetch(std::span<const PreparedIds* const> slices, RowRequests& requests) override;
  void forward(std::size_t slice, std::span<float* const> outputs, ThreadPool& pool) override;
  void add_gradients(std::size_t slice, std::span<const float* const> gradients, ThreadPool& pool) override;
  void exchange_gradients(std::span<const double> note) override;
  void update(const EmbeddingEngine::UpdateSettings& settings, bool l2_on_all_rows, ThreadPool& pool) override;
  std::span<const std::vector<double>> notes() const override { return notes_; }
  const Placement& placement() const override { return placement_; }
  RowRange held_rows(std::size_t table) const override { return placement_.held_rows(table, communicator_.rank()); }
  RowRange shown_rows(std::size_t table) const override { return placement_.shown_rows(table, communicator_.rank()); }
  void read_rows(std::size_t table, std::int64_t first, std::int64_t count, float* rows, float* state) const override;
  void read_rows_together(std::size_t table, std::int64_t first, std::int64_t count, float* rows, float* state) const override;
  std::vector<float> read_held_values(std::size_t table, std::int64_t row) const override;
  void write_rows(std::size_t table, std::int64_t first, std::int64_t count, const float* rows, const float* state) override;
  void start_rows(std::size_t table, std::span<const std::int32_t> rows, std::span<const std::int64_t> numbers) override;
  std::uint64_t memory_bytes() const override { return held_ ? held_->memory_bytes() : 0; }

 private:
  static constexpr std::size_t kNotHeld = static_cast<std::size_t>(-1);

  std::size_t at(std::size_t rank, std::size_t slice, std::size_t table) const { return (rank * slices_ + slice) * table_count() + table; }
  std::vector<TableConfig> held_tables(const std::vector<TableConfig>& tables);
  const TableShard& own_shard(std::size_t table) const { return placement_.shard(table, communicator_.rank()); }
  std::int64_t columns(std::size_t table, std::size_t holder) const { return placement_.shard(table, static_cast<int>(holder)).columns.count; }
  /// Whether rows of a table go from a holder to a rank that asks.
  bool sends_rows(std::size_t table, std::size_t holder, std::size_t asking) const { return !placement_.is_copied(table) || holder == asking; }
  std::size_t own() const { return static_cast<std::size_t>(communicator_.rank()); }
  void find_rows(std::span<const std::int32_t> rows, std::size_t slice, std::size_t table, RowRequests& made) const;
  void find_segments(std::span<const PreparedIds* const> slices, RowRequests& made) const;
  void write_ids(std::span<const PreparedIds* const> slices, std::size_t holder, const RowRequests& made, std::int32_t* to) const;
  std::vector<std::int64_t> write_packets(std::span<const PreparedIds* const> slices, std::span<const double> note, RowRequests& made) const;
  void read_packets(std::size_t note_numbers, RowRequests& made) const;
  void request_by(Communicator& communicator, std::span<const PreparedIds* const> slices, std::span<const double> note, RowRequests& made) const;
  void prepare_held(RowRequests& made, ThreadPool& pool) const;
  void exchange_rows();
  void exchange_narrow_gradients(bool must_fit);
  void narrow(std::size_t table, const char* what, const float* from, std::int64_t count, std::uint16_t* to) const;
  void join_split_rows();
  /// Calls copy(joined, part, floats) for what a segment has of each unique row: a place in joined_ and the same in the segment.
  template <typename Copy>
  void for_each_piece(std::size_t holder, std::size_t slice, std::size_t table, const Copy& copy);
  void require_held(std::size_t table, std::int64_t first, std::int64_t count) const;
  std::vector<std::int64_t> rows_of_holder(std::size_t table, std::size_t holder, RowRange range) const;

  Communicator& communicator_;
  Communicator* ahead_;
  std::size_t ranks_;
  std::size_t slices_;
  std::size_t note_size_;
  Placement placement_;
  EmbeddingEngine lookups_;
  std::vector<std::size_t> held_index_;      ///< by table: its number in held_, or kNotHeld
  std::unique_ptr<EmbeddingEngine> held_;    ///< the rows of this rank; null when it holds none
  RowPrecision wire_;
  float gradient_scale_;
  std::vector<std::vector<double>> notes_;
  std::int64_t next_request_ = 0;            ///< of request_ahead()'s thread

  // Of the step under way; kept for their memory.
  std::vector<const PreparedIds*> prepared_;
  RowRequests* requests_ = nullptr;
  ReusedArray<float> sent_rows_;
  ReusedArray<float> received_rows_;
  ReusedArray<std::byte> sent_gradients_;      ///< for each holder: note, then floats
  ReusedArray<std::byte> received_gradients_;  ///< from each asking rank: note, then floats
  std::vector<ReusedArray<float>> joined_;     ///< by slice and table, of split tables: rows, later gradients, one after another
  std::vector<ReusedArray<float>> held_gradients_;  ///< by held table: gradients in the order of the slices
  // What travels in 16 bits.
  ReusedArray<std::uint16_t> sent_halves_;
  ReusedArray<std::uint16_t> received_halves_;
  ReusedArray<std::byte> sent_narrow_;      ///< as sent_gradients_
  ReusedArray<std::byte> received_narrow_;
};

}  // namespace rechost
