#include "embedding/gpu_tables.h"

#include <algorithm>

#include "base/error.h"
#include "embedding/engine_impl.h"
#include "embedding/table_storage.h"

namespace rechost {
namespace {

/// Rows that are filled, read or written at once on their way to or from the GPU.
constexpr std::int64_t kFloatsAtOnce = std::int64_t{16} << 20;

std::int64_t rows_at_once(std::int64_t stride) { return std::max<std::int64_t>(1, kFloatsAtOnce / stride); }

void check(const char* error, const char* what) {
  if (error != nullptr) fail<DeviceError>("{} could not be started on the GPU: {}", what, error);
}

/// PreparedGroup::samples is there only then.
bool has_lists(const PreparedGroup& group) {
  return std::any_of(group.columns.begin(), group.columns.end(), [](const PreparedColumn& column) { return !column.one_each; });
}

void check_range(const TableConfig& table, std::int64_t first, std::int64_t count) {
  if (first < 0 || count < 0 || first > table.rows - count) {
    fail<Error>("rows {} to {} are not all in table \"{}\" with {} rows", first, first + count, table.name, table.rows);
  }
}

}  // namespace

GpuTables::GpuTables(std::shared_ptr<const Gpu> gpu, std::vector<TableConfig> tables, std::vector<LookupConfig> lookups,
                     std::vector<BlockConfig> blocks, std::uint64_t seed, ThreadPool& pool)
    : gpu_(std::move(gpu)),
      placement_(table_sizes(tables), 1),
      engine_(std::move(tables), std::move(lookups), std::move(blocks), seed, pool, EmbeddingEngine::Storage::kElsewhere),
      kernels_(gpu_->module()),
      optimizers_(gpu_),
      ids_upload_(gpu_, "ids of a batch"),
      sources_upload_(gpu_, "places of gradients") {
  for (std::size_t table = 0; table < engine_.table_count(); ++table) fill(table, seed, pool);
}

void GpuTables::fill(std::size_t table, std::uint64_t seed, ThreadPool& pool) {
  const TableConfig& config = engine_.table(table);
  if (config.precision != RowPrecision::kFp32) {
    fail<ConfigError>("table \"{}\": on a GPU rows are fp32; set tables.\"{}\".precision = \"fp32\" instead of {}, or run.device = \"cpu\"",
                      config.name, config.name, row_precision_name(config.precision));
  }
  Table made;
  made.state_floats = engine_.state_floats_per_row(table);
  made.stride = row_stride(config.dim + made.state_floats);
  const auto row_bytes = static_cast<std::size_t>(made.stride) * sizeof(float);
  made.rows = DeviceBuffer(gpu_, static_cast<std::size_t>(config.rows) * row_bytes, fmt::format("table \"{}\"", config.name));
  // A part of the table at a time, by the code that fills a table of the CPU: the same values, and host memory for a part only.
  for (std::int64_t first = 0; first < config.rows; first += rows_at_once(made.stride)) {
    TableConfig part = config;
    part.first_row = first;
    part.rows = std::min(rows_at_once(made.stride), config.rows - first);
    TableStorage storage(part);
    storage.fill(part, seed, pool);
    gpu_->copy_in(made.rows.data<float>() + first * made.stride, storage.rows(), static_cast<std::size_t>(part.rows) * row_bytes);
  }
  tables_.push_back(std::move(made));
}

void GpuTables::fetch(std::span<const PreparedIds* const> slices, RowRequests& requests) {
  if (slices.size() != 1) fail<Error>("{} slices for tables that work on one", slices.size());
  gpu_->make_current();
  prepared_ = slices.front();
  engine_.impl().check_prepared(*prepared_);
  upload_ids();
  requests.made = false;
}

void GpuTables::upload_ids() {
  std::size_t bytes = 0;
  const auto count = [&](const auto& values) { bytes += GpuUpload::bytes_of(values); };
  for (const PreparedGroup& group : prepared_->groups()) {
    for (const auto* values : {&group.ids, &group.unique_rows, &group.segment_offsets, &group.positions}) count(values->view());
    if (has_lists(group)) count(group.samples.view());
    for (const PreparedColumn& column : group.columns) {
      if (!column.one_each) count(column.offsets.view());
      if (column.weighted) count(column.weights.view());
    }
  }
  ids_upload_.begin(bytes);
  groups_.clear();
  for (const PreparedGroup& group : prepared_->groups()) {
    Group on_device;
    on_device.ids = ids_upload_.add(group.ids.view());
    on_device.unique_rows = ids_upload_.add(group.unique_rows.view());
    on_device.segment_offsets = ids_upload_.add(group.segment_offsets.view());
    on_device.positions = ids_upload_.add(group.positions.view());
    if (has_lists(group)) on_device.samples = ids_upload_.add(group.samples.view());
    for (const PreparedColumn& column : group.columns) {
      on_device.offsets.push_back(column.one_each ? nullptr : ids_upload_.add(column.offsets.view()));
      on_device.weights.push_back(column.weighted ? ids_upload_.add(column.weights.view()) : nullptr);
    }
    groups_.push_back(std::move(on_device));
  }
  ids_upload_.finish();
}

void GpuTables::forward(std::size_t /*slice*/, std::span<float* const> outputs, ThreadPool& /*pool*/) {
  const EmbeddingEngine::Impl& impl = engine_.impl();
  if (outputs.size() != impl.blocks.size()) fail<Error>("forward: {} outputs for {} blocks", outputs.size(), impl.blocks.size());
  for (std::size_t b = 0; b < impl.blocks.size(); ++b) {
    if (outputs[b] == nullptr) continue;
    const EmbeddingEngine::Impl::Block& block = impl.blocks[b];
    for (const std::size_t index : block.lookups) {
      const EmbeddingEngine::Impl::Lookup& lookup = impl.lookups[index];
      const Group& group = groups_[impl.tables[lookup.table].group];
      const PreparedColumn& column = impl.prepared_column(*prepared_, lookup);
      CudaLookup run;
      run.table = tables_[lookup.table].rows.data<float>();
      run.stride = tables_[lookup.table].stride;
      run.dim = block.dim;
      run.ids = group.ids + column.first;
      run.offsets = block.sequence ? nullptr : group.offsets[lookup.column_in_group];
      run.weights = block.sequence ? nullptr : group.weights[lookup.column_in_group];
      run.mean = lookup.pooling == Pooling::kMean;
      run.samples = block.sequence ? column.count : column.rows;
      run.output = outputs[b] + lookup.slot * block.dim;
      run.output_stride = static_cast<std::int64_t>(block.lookups.size()) * block.dim;
      check(kernels_.lookup(gpu_->stream(), run), "a lookup");
    }
  }
}

void GpuTables::add_gradients(std::size_t /*slice*/, std::span<const float* const> gradients, ThreadPool& /*pool*/) {
  if (gradients.size() != engine_.impl().blocks.size()) {
    fail<Error>("update: {} gradients for {} blocks", gradients.size(), engine_.impl().blocks.size());
  }
  gradients_ = gradients;
}

GpuTables::Sources GpuTables::sources_of(std::size_t table) const {
  const EmbeddingEngine::Impl& impl = engine_.impl();
  const EmbeddingEngine::Impl::Table& of = impl.tables[table];
  const PreparedGroup& prepared = impl.prepared_group(*prepared_, table);
  const Group& group = groups_[of.group];
  Sources sources;
  for (std::size_t c = 0; c < of.by_column.size(); ++c) {
    CudaGradientColumn column;
    column.first = prepared.columns[c].first;
    column.one_each = prepared.columns[c].one_each;
    column.first_source = static_cast<std::int32_t>(sources.lookups.size());
    for (const std::size_t index : of.by_column[c]) {
      const EmbeddingEngine::Impl::Lookup& lookup = impl.lookups[index];
      const EmbeddingEngine::Impl::Block& block = impl.blocks[lookup.block];
      if (gradients_[lookup.block] == nullptr) continue;
      CudaGradientSource source;
      source.first = gradients_[lookup.block] + lookup.slot * block.dim;
      source.stride = static_cast<std::int64_t>(block.lookups.size()) * block.dim;
      source.offsets = lookup.pooling == Pooling::kMean ? group.offsets[c] : nullptr;
      source.weights = block.sequence ? nullptr : group.weights[c];
      source.sequence = block.sequence;
      sources.lookups.push_back(source);
    }
    column.end_source = static_cast<std::int32_t>(sources.lookups.size());
    sources.columns.push_back(column);
  }
  return sources;
}

RowUpdate GpuTables::row_update(std::size_t table) const {
  const std::int64_t dim = engine_.table(table).dim;
  RowUpdate update;
  update.dim = dim;
  update.values = tables_[table].rows.data<float>();
  update.first = update.values + dim;
  update.second = update.values + 2 * dim;
  update.value_stride = update.first_stride = update.second_stride = tables_[table].stride;
  return update;
}

void GpuTables::update(const EmbeddingEngine::UpdateSettings& settings, bool l2_on_all_rows, ThreadPool& /*pool*/) {
  update_touched(settings);
  if (l2_on_all_rows && settings.l2 != 0.0) decay_untouched(settings);
}

void GpuTables::update_touched(const EmbeddingEngine::UpdateSettings& settings) {
  const EmbeddingEngine::Impl& impl = engine_.impl();
  std::vector<Sources> sources(tables_.size());
  std::size_t bytes = 0;
  std::int64_t most_floats = 0;
  std::int64_t most_piece_floats = 0;
  for (std::size_t t = 0; t < tables_.size(); ++t) {
    if (impl.tables[t].group == EmbeddingEngine::Impl::kNoGroup) continue;
    sources[t] = sources_of(t);
    bytes += GpuUpload::bytes_of(std::span<const CudaGradientColumn>(sources[t].columns));
    bytes += GpuUpload::bytes_of(std::span<const CudaGradientSource>(sources[t].lookups));
    const PreparedGroup& group = impl.prepared_group(*prepared_, t);
    most_floats = std::max(most_floats, group.unique_rows.size() * engine_.table(t).dim);
    most_piece_floats = std::max(most_piece_floats, gradient_pieces(group.positions.size()) * engine_.table(t).dim);
  }
  sources_upload_.begin(bytes);
  // One table after another uses the same room: the stream keeps them apart.
  sums_.reserve(gpu_, static_cast<std::size_t>(most_floats) * sizeof(float), "gradients of rows");
  pieces_.reserve(gpu_, static_cast<std::size_t>(2 * most_piece_floats) * sizeof(float), "parts of gradients of rows");
  std::vector<CudaGradientSum> runs(tables_.size());
  for (std::size_t t = 0; t < tables_.size(); ++t) {
    if (impl.tables[t].group == EmbeddingEngine::Impl::kNoGroup) continue;
    const Group& group = groups_[impl.tables[t].group];
    CudaGradientSum& run = runs[t];
    run.columns = sources_upload_.add(std::span<const CudaGradientColumn>(sources[t].columns));
    run.column_count = static_cast<std::int32_t>(sources[t].columns.size());
    run.sources = sources_upload_.add(std::span<const CudaGradientSource>(sources[t].lookups));
    run.positions = group.positions;
    run.segment_offsets = group.segment_offsets;
    run.samples = group.samples;
    run.position_count = impl.prepared_group(*prepared_, t).positions.size();
    run.unique = impl.prepared_group(*prepared_, t).unique_rows.size();
    run.dim = engine_.table(t).dim;
    run.sums = sums_.data<float>();
    run.heads = pieces_.data<float>();
    run.tails = run.heads + most_piece_floats;
  }
  sources_upload_.finish();
  for (std::size_t t = 0; t < tables_.size(); ++t) {
    if (runs[t].unique == 0) continue;
    check(kernels_.sum_gradients(gpu_->stream(), runs[t]), "a sum of gradients");
    RowUpdate update = row_update(t);
    update.rows = groups_[impl.tables[t].group].unique_rows;
    update.row_count = runs[t].unique;
    update.gradients = runs[t].sums;
    const OptimizerSettings& optimizer = engine_.table(t).optimizer;
    optimizers_.update_rows(optimizer.kind, rule_constants(optimizer, settings.step, settings.lr_factor, 1.0, settings.clip_value, settings.l2),
                            update);
  }
}

void GpuTables::decay_untouched(const EmbeddingEngine::UpdateSettings& settings) {
  const EmbeddingEngine::Impl& impl = engine_.impl();
  for (std::size_t t = 0; t < tables_.size(); ++t) {
    RowUpdate update = row_update(t);
    update.row_count = engine_.table(t).rows;
    if (impl.tables[t].group != EmbeddingEngine::Impl::kNoGroup) {
      update.skipped = groups_[impl.tables[t].group].unique_rows;
      update.skipped_count = impl.prepared_group(*prepared_, t).unique_rows.size();
    }
    const OptimizerSettings& optimizer = engine_.table(t).optimizer;
    optimizers_.update_rows(optimizer.kind, rule_constants(optimizer, settings.step, settings.lr_factor, 1.0, settings.clip_value, settings.l2),
                            update);
  }
}

void GpuTables::read_rows(std::size_t table, std::int64_t first, std::int64_t count, float* rows, float* state) const {
  const TableConfig& config = engine_.table(table);
  check_range(config, first, count);
  gpu_->make_current();
  const Table& of = tables_[table];
  std::vector<float> whole;
  for (std::int64_t done = 0; done < count;) {
    const std::int64_t now = std::min(rows_at_once(of.stride), count - done);
    whole.resize(static_cast<std::size_t>(now * of.stride));
    gpu_->copy_out(whole.data(), of.rows.data<float>() + (first + done) * of.stride, whole.size() * sizeof(float));
    for (std::int64_t i = 0; i < now; ++i, ++done) {
      const float* const row = whole.data() + i * of.stride;
      if (rows != nullptr) std::copy_n(row, config.dim, rows + done * config.dim);
      if (state != nullptr) std::copy_n(row + config.dim, of.state_floats, state + done * of.state_floats);
    }
  }
}

void GpuTables::write_rows(std::size_t table, std::int64_t first, std::int64_t count, const float* rows, const float* state) {
  const TableConfig& config = engine_.table(table);
  check_range(config, first, count);
  gpu_->make_current();
  const Table& of = tables_[table];
  std::vector<float> whole;
  for (std::int64_t done = 0; done < count;) {
    const std::int64_t now = std::min(rows_at_once(of.stride), count - done);
    whole.resize(static_cast<std::size_t>(now * of.stride));
    float* const on_device = of.rows.data<float>() + (first + done) * of.stride;
    // What is not given, and the padding, stays as it is.
    gpu_->copy_out(whole.data(), on_device, whole.size() * sizeof(float));
    for (std::int64_t i = 0; i < now; ++i, ++done) {
      float* const row = whole.data() + i * of.stride;
      if (rows != nullptr) std::copy_n(rows + done * config.dim, config.dim, row);
      if (state != nullptr) std::copy_n(state + done * of.state_floats, of.state_floats, row + config.dim);
    }
    gpu_->copy_in(on_device, whole.data(), whole.size() * sizeof(float));
  }
}

std::uint64_t GpuTables::memory_bytes() const {
  std::uint64_t bytes = 0;
  for (const Table& table : tables_) bytes += table.rows.bytes();
  return bytes;
}

}  // namespace rechost
