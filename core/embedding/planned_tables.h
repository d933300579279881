#pragma once

#include "embedding/embedding_tables.h"

namespace rechost {

/// Tables that take no memory: for planning a run whose tables may be larger than this machine. Ids are checked and deduplicated as in training;
/// every row is the same small number, and gradients go nowhere.
class PlannedTables final : public EmbeddingTables {
 public:
  /// Throws as EmbeddingEngine does, but for memory.
  PlannedTables(std::vector<TableConfig> tables, std::vector<LookupConfig> lookups, std::vector<BlockConfig> blocks, ThreadPool& pool);

  const EmbeddingEngine& lookups() const override { return lookups_; }
  void fetch(std::span<const PreparedIds* const> slices, RowRequests& requests) override;
  void forward(std::size_t slice, std::span<float* const> outputs, ThreadPool& pool) override;
  void add_gradients(std::size_t /*slice*/, std::span<const float* const> /*gradients*/, ThreadPool& /*pool*/) override {}
  void exchange_gradients(std::span<const double> note) override { notes_[0].assign(note.begin(), note.end()); }
  void update(const EmbeddingEngine::UpdateSettings& /*settings*/, bool /*l2_on_all_rows*/, ThreadPool& /*pool*/) override {}
  std::span<const std::vector<double>> notes() const override { return notes_; }
  const Placement& placement() const override { return placement_; }
  RowRange held_rows(std::size_t /*table*/) const override { return {}; }
  RowRange shown_rows(std::size_t /*table*/) const override { return {}; }
  /// There are none to read or to write: both throw.
  void read_rows(std::size_t table, std::int64_t first, std::int64_t count, float* rows, float* state) const override;
  void write_rows(std::size_t table, std::int64_t first, std::int64_t count, const float* rows, const float* state) override;
  void start_rows(std::size_t /*table*/, std::span<const std::int32_t> /*rows*/, std::span<const std::int64_t> /*numbers*/) override {}
  /// What they would take.
  std::uint64_t memory_bytes() const override;

 private:
  Placement placement_;
  EmbeddingEngine lookups_;
  const PreparedIds* prepared_ = nullptr;
  std::vector<std::vector<double>> notes_{1};
};

}  // namespace rechost
