#include <algorithm>

#include "base/error.h"
#include "device/instruction_set.h"
#include "embedding/engine.h"
#include "embedding/engine_impl.h"
#include "embedding/lookup_loops.h"

namespace rechost {
namespace {

/// Samples of a block that a thread takes at once: their outputs stay in its second-level cache while lookup after lookup fills them.
constexpr std::int64_t kSamplesPerChunk = 256;
constexpr std::int64_t kFloatsPerLine = 16;

/// Rows to ask for ahead: about as many cache lines as a core keeps under way.
std::int64_t rows_ahead(std::int64_t row_floats) {
  constexpr std::int64_t kLinesAhead = 48;
  return std::clamp<std::int64_t>(kLinesAhead / ((row_floats + kFloatsPerLine - 1) / kFloatsPerLine), 3, 24);
}

/// Asks for the first rows of a job, while the job before it still runs.
void prefetch_first_rows(const LookupJob& job) {
  const std::int64_t first = job.offsets == nullptr ? job.begin : job.offsets[job.begin];
  const std::int64_t last = std::min(first + job.prefetch_ahead, job.ids_end);
  const std::int64_t floats = row_value_floats(job.precision, job.dim);
  for (std::int64_t i = first; i < last; ++i) prefetch_row(job.table + job.ids[i] * job.stride, floats);
}

/// Where the rows of a table are, as lookups of this batch number them.
struct RowSource {
  const float* rows = nullptr;
  std::int64_t stride = 0;
  RowPrecision precision = RowPrecision::kFp32;
  const std::int32_t* ids = nullptr;  ///< of the table's group
};

/// `source_of(table, group)`
template <typename SourceOf>
void pool_blocks(const EmbeddingEngine& engine, const EmbeddingEngine::Impl& impl, const PreparedIds& prepared, const SourceOf& source_of,
                 std::span<float* const> outputs, ThreadPool& pool) {
  impl.check_prepared(prepared);
  if (outputs.size() != impl.blocks.size()) fail<Error>("forward: {} outputs for {} blocks", outputs.size(), impl.blocks.size());
  const auto loop_for = choose_twin(lookup_baseline, lookup_avx2, lookup_avx512);

  using Block = EmbeddingEngine::Impl::Block;
  const auto job_of = [&](const Block& block, std::size_t lookup_index, float* output, std::int64_t begin, std::int64_t end) {
    const EmbeddingEngine::Impl::Lookup& lookup = impl.lookups[lookup_index];
    const RowSource source = source_of(lookup.table, impl.prepared_group(prepared, lookup.table));
    const PreparedColumn& column = impl.prepared_column(prepared, lookup);
    const bool by_offsets = !block.sequence && !column.one_each;
    return LookupJob{.table = source.rows,
                     .precision = source.precision,
                     .stride = source.stride,
                     .dim = block.dim,
                     .ids = source.ids + column.first,
                     .ids_end = by_offsets ? column.offsets[end] : end,
                     .offsets = by_offsets ? column.offsets.data() : nullptr,
                     .weights = column.weighted && !block.sequence ? column.weights.data() : nullptr,
                     .mean = lookup.pooling == Pooling::kMean,
                     .begin = begin,
                     .end = end,
                     .output = output + lookup.slot * block.dim,
                     .output_stride = static_cast<std::int64_t>(block.lookups.size()) * block.dim,
                     .prefetch_ahead = rows_ahead(row_value_floats(source.precision, block.dim))};
  };

  std::vector<std::int64_t> first_chunk(impl.blocks.size() + 1, 0);
  for (std::size_t b = 0; b < impl.blocks.size(); ++b) {
    const std::int64_t rows = outputs[b] == nullptr ? 0 : engine.block_rows(prepared, b);
    first_chunk[b + 1] = first_chunk[b] + (rows + kSamplesPerChunk - 1) / kSamplesPerChunk;
  }
  pool.parallel_for(first_chunk.back(), [&](std::int64_t chunk) {
    const auto b = static_cast<std::size_t>(std::upper_bound(first_chunk.begin(), first_chunk.end(), chunk) - first_chunk.begin() - 1);
    const Block& block = impl.blocks[b];
    const std::int64_t begin = (chunk - first_chunk[b]) * kSamplesPerChunk;
    const std::int64_t end = std::min(engine.block_rows(prepared, b), begin + kSamplesPerChunk);
    LookupJob job = job_of(block, block.lookups.front(), outputs[b], begin, end);
    prefetch_first_rows(job);
    for (std::size_t slot = 0; slot < block.lookups.size(); ++slot) {
      const LookupJob current = job;
      if (slot + 1 < block.lookups.size()) {
        job = job_of(block, block.lookups[slot + 1], outputs[b], begin, end);
        prefetch_first_rows(job);
      }
      loop_for(current.precision, block.dim)(current);
    }
  });
}

}  // namespace

void EmbeddingEngine::forward(const PreparedIds& prepared, std::span<float* const> outputs, ThreadPool& pool) const {
  const Impl& impl = *impl_;
  const auto source_of = [&](std::size_t table, const PreparedGroup& group) {
    const TableStorage& storage = impl.tables[table].storage.value();
    return RowSource{storage.rows(), storage.stride(), impl.tables[table].config.precision, group.ids.data()};
  };
  pool_blocks(*this, impl, prepared, source_of, outputs, pool);
}

void EmbeddingEngine::forward_from(const PreparedIds& prepared, std::span<const float* const> table_rows, std::span<float* const> outputs,
                                   ThreadPool& pool) const {
  const Impl& impl = *impl_;
  if (table_rows.size() != impl.tables.size()) fail<Error>("forward: rows of {} tables for {}", table_rows.size(), impl.tables.size());
  const auto source_of = [&](std::size_t table, const PreparedGroup& group) {
    return RowSource{table_rows[table], impl.tables[table].config.dim, RowPrecision::kFp32, group.inverse.data()};
  };
  pool_blocks(*this, impl, prepared, source_of, outputs, pool);
}

void EmbeddingEngine::gather_rows(std::size_t table, std::span<const std::int32_t> ids, float* out) const {
  const Impl::Table& of = impl_->tables.at(table);
  const TableStorage& storage = of.storage.value();
  const std::int64_t dim = of.config.dim;
  for (const std::int32_t id : ids) {
    if (id < 0 || id >= of.config.rows) {
      fail<DataError>("id {} is outside table \"{}\" with {} rows here", id, of.config.name, of.config.rows);
    }
  }
  if (ids.empty()) return;
  LookupJob job{.table = storage.rows(), .precision = of.config.precision, .stride = storage.stride(), .dim = dim, .ids = ids.data()};
  job.ids_end = static_cast<std::int64_t>(ids.size());
  job.end = job.ids_end;
  job.output = out;
  job.output_stride = dim;
  job.prefetch_ahead = rows_ahead(storage.value_floats());
  choose_twin(lookup_baseline, lookup_avx2, lookup_avx512)(job.precision, dim)(job);
}

}  // namespace rechost
