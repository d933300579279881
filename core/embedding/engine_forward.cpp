#include <algorithm>

#include "base/cache_line.h"
#include "base/error.h"
#include "device/instruction_set.h"
#include "embedding/engine.h"
#include "embedding/engine_impl.h"
#include "embedding/lookup_loops.h"

namespace rechost {
namespace {

/// Samples of a block that a thread takes at once.
constexpr std::int64_t kSamplesPerItem = 256;
/// Rows that are listed before they are read: the list stays in the nearest cache.
constexpr std::int64_t kRowsPerList = 2048;

bool on_lines(const float* rows, std::int64_t stride) {
  return reinterpret_cast<std::uintptr_t>(rows) % (kFloatsPerLine * sizeof(float)) == 0 && stride % kFloatsPerLine == 0;
}

/// Where the rows of a lookup are, and which of them its bags have.
struct RowSource {
  const float* rows = nullptr;
  std::int64_t stride = 0;
  RowPrecision precision = RowPrecision::kFp32;
  const std::int32_t* ids = nullptr;      ///< of the column
  const std::int32_t* places = nullptr;   ///< where row number ids[i] is; null: there
  const std::int64_t* offsets = nullptr;  ///< null: sample i has exactly ids[i]
  const float* weights = nullptr;         ///< of the ids; null: all 1
  bool mean = false;

  const float* row(std::int64_t id) const { return rows + (places == nullptr ? ids[id] : places[ids[id]]) * stride; }
  std::int64_t first_id(std::int64_t sample) const { return offsets == nullptr ? sample : offsets[sample]; }
};

/// The rows of some samples, listed for the loops. One for each thread, kept for its memory.
class RowList {
 public:
  /// Those of samples [begin, end), sample after sample: `count` rows.
  void list(std::span<const RowSource> sources, std::int64_t begin, std::int64_t end, std::int64_t count, LookupJob& job) {
    const bool plain = std::all_of(sources.begin(), sources.end(), [](const RowSource& source) { return source.offsets == nullptr && source.weights == nullptr; });
    const auto slots = static_cast<std::int64_t>(sources.size());
    job.bags = (end - begin) * slots;
    job.row_count = count;
    rows_.resize_unspecified(job.row_count);
    job.rows = rows_.data();
    job.bag_ends = nullptr;
    job.weights = nullptr;
    job.scales = nullptr;
    if (plain) {
      for (std::int64_t slot = 0; slot < slots; ++slot) {
        const RowSource& source = sources[static_cast<std::size_t>(slot)];
        const float** to = rows_.data() + slot;
        for (std::int64_t sample = begin; sample < end; ++sample, to += slots) *to = source.row(sample);
      }
      return;
    }
    const bool weighted = std::any_of(sources.begin(), sources.end(), [](const RowSource& source) { return source.weights != nullptr; });
    const bool scaled = std::any_of(sources.begin(), sources.end(), [](const RowSource& source) { return source.mean; });
    bag_ends_.resize_unspecified(job.bags);
    if (weighted) weights_.resize_unspecified(job.row_count);
    if (scaled) scales_.resize_unspecified(job.bags);
    std::int32_t listed = 0;
    std::int64_t bag = 0;
    for (std::int64_t sample = begin; sample < end; ++sample) {
      for (const RowSource& source : sources) {
        const std::int64_t first = source.first_id(sample);
        const std::int64_t last = source.first_id(sample + 1);
        for (std::int64_t i = first; i < last; ++i, ++listed) {
          rows_[listed] = source.row(i);
          if (weighted) weights_[listed] = source.weights == nullptr ? 1.0f : source.weights[i];
        }
        if (scaled) scales_[bag] = source.mean && last > first ? 1.0f / static_cast<float>(last - first) : 1.0f;
        bag_ends_[bag++] = listed;
      }
    }
    job.bag_ends = bag_ends_.data();
    if (weighted) job.weights = weights_.data();
    if (scaled) job.scales = scales_.data();
  }

 private:
  ReusedArray<const float*> rows_;
  ReusedArray<std::int32_t> bag_ends_;
  ReusedArray<float> weights_;
  ReusedArray<float> scales_;
};

thread_local RowList thread_list;

/// Neighbouring lookups of a block whose rows have the same precision: what one loop does in one go.
struct LookupRun {
  std::vector<RowSource> sources;
  float* output = nullptr;  ///< of sample 0
  std::int64_t output_stride = 0;
  std::int64_t dim = 0;
  bool on_lines = true;

  std::int64_t rows(std::int64_t begin, std::int64_t end) const {
    std::int64_t rows = 0;
    for (const RowSource& source : sources) rows += source.first_id(end) - source.first_id(begin);
    return rows;
  }

  /// Of samples [begin, end), while about `lines_ahead` cache lines of rows are asked for before.
  void pool(std::int64_t begin, std::int64_t end, std::int64_t lines_ahead) const {
    const RowPrecision precision = sources.front().precision;
    LookupJob job{.precision = precision, .on_lines = on_lines, .dim = dim, .bags_together = static_cast<std::int64_t>(sources.size())};
    job.output_stride = output_stride;
    job.rows_ahead = rows_of_lines(lines_ahead, row_value_floats(precision, dim));
    const auto loop = choose_twin(lookup_baseline, lookup_avx2, lookup_avx512)(precision, dim);
    const std::int64_t samples_per_list = std::max<std::int64_t>(1, kRowsPerList * (end - begin) / std::max<std::int64_t>(rows(begin, end), 1));
    for (std::int64_t first = begin; first < end; first += samples_per_list) {
      const std::int64_t last = std::min(end, first + samples_per_list);
      thread_list.list(sources, first, last, rows(first, last), job);
      job.output = output + first * output_stride;
      loop(job);
    }
  }
};

/// What is to be pooled into one block.
struct BlockRuns {
  std::int64_t samples = 0;  ///< or ids of a sequence
  std::vector<LookupRun> runs;
};

/// `source_of(table, group)`: rows, stride, precision and the ids of the table's group.
template <typename SourceOf>
void pool_blocks(const EmbeddingEngine& engine, const EmbeddingEngine::Impl& impl, const PreparedIds& prepared, const SourceOf& source_of,
                 std::span<float* const> outputs, ThreadPool& pool) {
  impl.check_prepared(prepared);
  if (outputs.size() != impl.blocks.size()) fail<Error>("forward: {} outputs for {} blocks", outputs.size(), impl.blocks.size());
  std::vector<BlockRuns> blocks;
  std::vector<std::int64_t> first_item{0};
  for (std::size_t b = 0; b < impl.blocks.size(); ++b) {
    if (outputs[b] == nullptr) continue;
    const EmbeddingEngine::Impl::Block& block = impl.blocks[b];
    BlockRuns to{.samples = engine.block_rows(prepared, b), .runs = {}};
    for (const std::size_t index : block.lookups) {
      const EmbeddingEngine::Impl::Lookup& lookup = impl.lookups[index];
      const PreparedColumn& column = impl.prepared_column(prepared, lookup);
      RowSource source = source_of(lookup.table, impl.prepared_group(prepared, lookup.table));
      source.ids += column.first;
      if (!block.sequence && !column.one_each) source.offsets = column.offsets.data();
      if (!block.sequence && column.weighted) source.weights = column.weights.data();
      source.mean = lookup.pooling == Pooling::kMean;
      // Bags of several rows table by table: rows of one have their pages closer together, and those that come often stay in the cache.
      if (to.runs.empty() || source.offsets != nullptr || to.runs.back().sources.front().offsets != nullptr || to.runs.back().sources.front().precision != source.precision) {
        const auto slots = static_cast<std::int64_t>(block.lookups.size());
        to.runs.push_back({.sources = {}, .output = outputs[b] + lookup.slot * block.dim, .output_stride = slots * block.dim, .dim = block.dim});
      }
      to.runs.back().on_lines = to.runs.back().on_lines && on_lines(source.rows, source.stride);
      to.runs.back().sources.push_back(source);
    }
    first_item.push_back(first_item.back() + (to.samples + kSamplesPerItem - 1) / kSamplesPerItem);
    blocks.push_back(std::move(to));
  }
  std::int64_t rows = 0;
  for (const BlockRuns& block : blocks) {
    for (const LookupRun& run : block.runs) rows += run.rows(0, block.samples);
  }
  const std::int64_t lines = impl.lookup_lines.value();
  const TunedWork timed(impl.lookup_lines, rows);
  pool.parallel_for(first_item.back(), [&](std::int64_t item) {
    const auto b = static_cast<std::size_t>(std::upper_bound(first_item.begin(), first_item.end(), item) - first_item.begin() - 1);
    const std::int64_t begin = (item - first_item[b]) * kSamplesPerItem;
    const std::int64_t end = std::min(blocks[b].samples, begin + kSamplesPerItem);
    for (const LookupRun& run : blocks[b].runs) run.pool(begin, end, lines);
  });
}

}  // namespace

void EmbeddingEngine::forward(const PreparedIds& prepared, std::span<float* const> outputs, ThreadPool& pool) const {
  const Impl& impl = *impl_;
  impl.check_prepared(prepared);
  impl.bring_in(prepared, pool);
  const auto source_of = [&](std::size_t table, const PreparedGroup& group) {
    TableStorage& storage = *impl.tables[table].storage;
    if (FileRows* const file = storage.in_file(); file != nullptr) {
      return RowSource{.rows = file->cached(), .stride = storage.stride(), .precision = impl.tables[table].config.precision, .ids = group.inverse.data(), .places = impl.residence.slots[table].data()};
    }
    return RowSource{.rows = storage.rows(), .stride = storage.stride(), .precision = impl.tables[table].config.precision, .ids = group.ids.data()};
  };
  pool_blocks(*this, impl, prepared, source_of, outputs, pool);
}

void EmbeddingEngine::forward_from(const PreparedIds& prepared, std::span<const float* const> table_rows, std::span<float* const> outputs,
                                   ThreadPool& pool) const {
  const Impl& impl = *impl_;
  if (table_rows.size() != impl.tables.size()) fail<Error>("forward: rows of {} tables for {}", table_rows.size(), impl.tables.size());
  const auto source_of = [&](std::size_t table, const PreparedGroup& group) {
    return RowSource{.rows = table_rows[table], .stride = impl.tables[table].config.dim, .ids = group.inverse.data()};
  };
  pool_blocks(*this, impl, prepared, source_of, outputs, pool);
}

void EmbeddingEngine::gather_rows(std::size_t table, std::span<const std::int32_t> ids, float* out) const {
  const Impl::Table& of = impl_->tables.at(table);
  const TableStorage& storage = *of.storage;
  const std::int64_t dim = of.config.dim;
  for (const std::int32_t id : ids) {
    if (id < 0 || id >= of.config.rows) {
      fail<DataError>("id {} is outside table \"{}\" with {} rows here", id, of.config.name, of.config.rows);
    }
  }
  if (ids.empty()) return;
  if (storage.in_file() != nullptr) {
    for (std::size_t i = 0; i < ids.size(); ++i) storage.read(ids[i], 1, out + static_cast<std::int64_t>(i) * dim, nullptr);
    return;
  }
  LookupRun run{.sources = {{.rows = storage.rows(), .stride = storage.stride(), .precision = of.config.precision, .ids = ids.data()}},
                .output = out,
                .output_stride = dim,
                .dim = dim,
                .on_lines = on_lines(storage.rows(), storage.stride())};
  run.pool(0, static_cast<std::int64_t>(ids.size()), impl_->lookup_lines.value());
}

}  // namespace rechost
