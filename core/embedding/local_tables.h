#pragma once

#include "embedding/embedding_tables.h"

namespace rechost {

/// All tables in this process, one slice a step: nothing is copied on the way.
class LocalTables final : public EmbeddingTables {
 public:
  /// As EmbeddingEngine's.
  LocalTables(std::vector<TableConfig> tables, std::vector<LookupConfig> lookups, std::vector<BlockConfig> blocks, std::uint64_t seed,
              ThreadPool& pool);

  const EmbeddingEngine& lookups() const override { return engine_; }
  void fetch(std::span<const PreparedIds* const> slices, RowRequests& requests) override;
  void forward(std::size_t slice, std::span<float* const> outputs, ThreadPool& pool) override;
  void add_gradients(std::size_t slice, std::span<const float* const> gradients, ThreadPool& pool) override;
  void exchange_gradients(std::span<const double> note) override { notes_[0].assign(note.begin(), note.end()); }
  void update(const EmbeddingEngine::UpdateSettings& settings, bool l2_on_all_rows, ThreadPool& pool) override;
  std::span<const std::vector<double>> notes() const override { return notes_; }
  const Placement& placement() const override { return placement_; }
  RowRange held_rows(std::size_t table) const override { return {0, engine_.table(table).rows}; }
  RowRange shown_rows(std::size_t table) const override { return held_rows(table); }
  void read_rows(std::size_t table, std::int64_t first, std::int64_t count, float* rows, float* state) const override {
    engine_.read_rows(table, first, count, rows, state);
  }
  void write_rows(std::size_t table, std::int64_t first, std::int64_t count, const float* rows, const float* state) override {
    engine_.write_rows(table, first, count, rows, state);
  }
  void start_rows(std::size_t table, std::span<const std::int32_t> rows, std::span<const std::int64_t> numbers) override {
    engine_.start_rows(table, rows, numbers);
  }
  std::uint64_t memory_bytes() const override { return engine_.memory_bytes(); }

 private:
  Placement placement_;
  EmbeddingEngine engine_;
  const PreparedIds* prepared_ = nullptr;
  std::span<const float* const> gradients_;
  std::vector<std::vector<double>> notes_{1};
};

}  // namespace rechost
