#pragma once

#include <memory>
#include <vector>

#include "device/gpu.h"
#include "device/gpu_upload.h"
#include "embedding/cuda_embedding.h"
#include "embedding/embedding_tables.h"
#include "kernels/gpu_kernels.h"

namespace rechost {

/// All tables in the memory of one GPU, one slice a step. Ids are checked and deduplicated on the host, ahead of the step; of a batch the
/// GPU gets ids and inverse maps in one copy. Outputs and gradients of blocks are addresses on the GPU. Rows start with the values that
/// LocalTables gives them and are read and written as there, so that a checkpoint does not know where its tables were.
class GpuTables final : public EmbeddingTables {
 public:
  /// As EmbeddingEngine's; DeviceError when the tables do not fit the GPU.
  GpuTables(std::shared_ptr<const Gpu> gpu, std::vector<TableConfig> tables, std::vector<LookupConfig> lookups,
            std::vector<BlockConfig> blocks, std::uint64_t seed, ThreadPool& pool);

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
  void read_rows(std::size_t table, std::int64_t first, std::int64_t count, float* rows, float* state) const override;
  void write_rows(std::size_t table, std::int64_t first, std::int64_t count, const float* rows, const float* state) override;
  /// On the GPU.
  std::uint64_t memory_bytes() const override;

 private:
  struct Table {
    std::int64_t state_floats = 0;
    std::int64_t stride = 0;  ///< floats from one row to the next: values, state, padding, as in TableStorage
    DeviceBuffer rows;
  };
  /// One group of PreparedIds on the device.
  struct Group {
    const std::int32_t* ids = nullptr;
    const std::int32_t* samples = nullptr;  ///< null: every column is one_each
    const std::int32_t* unique_rows = nullptr;
    const std::int32_t* segment_offsets = nullptr;
    const std::int32_t* positions = nullptr;
    std::vector<const std::int64_t*> offsets;  ///< by column; null: one_each
    std::vector<const float*> weights;         ///< by column; null: all 1
  };
  /// The lookups of one table whose gradients are summed, by column.
  struct Sources {
    std::vector<CudaGradientColumn> columns;
    std::vector<CudaGradientSource> lookups;
  };

  void fill(std::size_t table, std::uint64_t seed, ThreadPool& pool);
  void upload_ids();
  Sources sources_of(std::size_t table) const;
  RowUpdate row_update(std::size_t table) const;
  void update_touched(const EmbeddingEngine::UpdateSettings& settings);
  void decay_untouched(const EmbeddingEngine::UpdateSettings& settings);

  std::shared_ptr<const Gpu> gpu_;
  Placement placement_;
  EmbeddingEngine engine_;
  CudaEmbedding kernels_;
  GpuKernels optimizers_;
  std::vector<Table> tables_;
  GpuUpload ids_upload_;
  GpuUpload sources_upload_;
  DeviceBuffer sums_;
  DeviceBuffer pieces_;
  std::vector<Group> groups_;  ///< of prepared_
  const PreparedIds* prepared_ = nullptr;
  std::span<const float* const> gradients_;
  std::vector<std::vector<double>> notes_{1};
};

}  // namespace rechost
