// What a ModelRuntime does to batches ahead of their steps, on the threads that assemble them.
#include <algorithm>
#include <functional>
#include <numeric>

#include "base/error.h"
#include "base/trace.h"
#include "train/model_runtime.h"

namespace rechost {
namespace {

double weight_of(const Batch& batch) {
  return batch.weights.empty() ? static_cast<double>(batch.rows) : std::accumulate(batch.weights.begin(), batch.weights.end(), 0.0);
}

void gather_columns(const std::vector<float>& from, std::int64_t rows, std::size_t width, std::span<const std::size_t> columns,
                    std::vector<float>& to) {
  to.resize(static_cast<std::size_t>(rows) * columns.size());
  for (std::size_t row = 0; row < static_cast<std::size_t>(rows); ++row) {
    for (std::size_t i = 0; i < columns.size(); ++i) to[row * columns.size() + i] = from[row * width + columns[i]];
  }
}

}  // namespace

void ModelRuntime::number_entities(const Batch& batch, PreparedBatch& prepared) const {
  const Catalogue& catalogue = *indexed_catalogue_;
  const IdColumn& keys = batch.sparse[catalogue.key_column()];
  prepared.entity_index.resize(static_cast<std::size_t>(batch.rows));
  prepared.log_probability.resize(static_cast<std::size_t>(batch.rows));
  for (std::size_t row = 0; row < static_cast<std::size_t>(batch.rows); ++row) {
    const std::int32_t entry = catalogue.entry_of(keys, row);
    prepared.entity_index[row] = entry;
    // A key without an entry (a rare value folded into "unknown") counts as rare as the rarest.
    prepared.log_probability[row] = entry >= 0 ? indexed_log_probabilities_[static_cast<std::size_t>(entry)] : rarest_log_probability_;
  }
}

void ModelRuntime::add_negatives(const Batch& batch, PreparedBatch& prepared) const {
  const std::int64_t rows = model_.spec().negatives->rows(batch.rows);
  prepared.drawn.resize(static_cast<std::size_t>(rows));
  // Those of this slice where each sample has its own; one list for all slices where the batch shares them.
  const std::int64_t per_sample = model_.spec().negatives->per_sample;
  sampler_->draw(batch.step, batch.first_row * per_sample, prepared.drawn);
  negatives_catalogue_->fill(prepared.drawn, prepared.negatives);
  prepared.negative_index.assign(prepared.drawn.begin(), prepared.drawn.end());
  prepared.negative_log_probability.resize(prepared.drawn.size());
  const std::span<const float> log_probabilities = sampler_->log_probabilities();
  for (std::size_t i = 0; i < prepared.drawn.size(); ++i) {
    prepared.negative_log_probability[i] = log_probabilities[static_cast<std::size_t>(prepared.drawn[i])];
  }
  if (!negative_dense_columns_.empty()) {
    gather_columns(prepared.negatives.dense, rows, negatives_catalogue_->dense_columns().size(), negative_dense_columns_, prepared.negative_dense);
  }
}

/// Dynamic features have no rows yet: their views follow in prepare_ids().
void ModelRuntime::take_column(const IdColumn& column, std::int64_t rows, std::size_t source, bool counted, PreparedBatch& prepared) const {
  prepared.columns.push_back({.ids = column.ids, .offsets = column.offsets, .rows = rows, .name = schema_.sparse[id_sources_[source].sparse].name, .weights = column.weights});
  if (dynamic_->is_dynamic(source)) dynamic_->take(column, rows, source, counted, prepared.keyed);
}

void ModelRuntime::prepare_ids(PreparedBatch& prepared) const {
  for (std::size_t source = 0; source < id_sources_.size(); ++source) {
    if (!dynamic_->is_dynamic(source)) continue;
    const KeyedBatch::Column& column = prepared.keyed.columns[source];
    prepared.columns[source].ids = column.ids;
    prepared.columns[source].offsets = column.offsets;
    prepared.columns[source].weights = column.weights;
  }
  const TraceSpan span("deduplicate");
  ThreadPool own(1);
  tables_->lookups().prepare(prepared.columns, prepared.ids, own);
}

/// Dense inputs; nothing of a batch before is left.
void ModelRuntime::take_dense(const Batch& batch, PreparedBatch& prepared) const {
  prepared.negatives.rows = 0;
  prepared.entity_index.clear();
  prepared.log_probability.clear();
  prepared.dense.clear();
  prepared.weight = weight_of(batch);
  prepared.requests.made = false;
  prepared.columns.clear();
  const auto& dense = model_.spec().group(InputGroup::kSamples).dense;
  if (dense.empty() || all_dense_in_order_) return;
  const std::vector<std::size_t> columns(dense.begin(), dense.end());
  gather_columns(batch.dense, batch.rows, schema_.dense.size(), columns, prepared.dense);
}

void ModelRuntime::prepare(const Batch& batch, PreparedBatch& prepared) const {
  take_dense(batch, prepared);
  for (std::size_t i = 0; i < id_sources_.size(); ++i) {
    const IdSource& source = id_sources_[i];
    if (source.group == InputGroup::kSamples) {
      take_column(batch.sparse[source.position], batch.rows, i, true, prepared);
    } else {
      take_column({}, 0, i, true, prepared);
    }
  }
  dynamic_->find(prepared.keyed);
  prepare_ids(prepared);
}

/// All of a slice of a training step but the rows that keys have. `number`: of the slice in the global batch.
void ModelRuntime::take_slice(const Batch& batch, int number, PreparedBatch& prepared) const {
  take_dense(batch, prepared);
  if (sampler_ != nullptr) add_negatives(batch, prepared);
  if (indexed_catalogue_ != nullptr) number_entities(batch, prepared);
  // Every slice reads negatives that the batch shares, but they are there once.
  const bool counts_negatives = number == 0 || !model_.spec().negatives || model_.spec().negatives->per_sample > 0;
  for (std::size_t i = 0; i < id_sources_.size(); ++i) {
    const IdSource& source = id_sources_[i];
    if (source.group == InputGroup::kSamples) {
      take_column(batch.sparse[source.position], batch.rows, i, true, prepared);
    } else {
      take_column(prepared.negatives.sparse[source.position], prepared.negatives.rows, i, counts_negatives, prepared);
    }
  }
}

void ModelRuntime::finish_step(std::span<PreparedBatch> slices) const {
  if (dynamic_->any()) {
    std::vector<KeyedBatch*> keyed;
    for (PreparedBatch& slice : slices) keyed.push_back(&slice.keyed);
    dynamic_->place(slices.front().keyed_step, keyed);
  }
  for (PreparedBatch& slice : slices) prepare_ids(slice);
}

void ModelRuntime::prepare_step(std::span<const Batch> slices, std::span<PreparedBatch> prepared, const BatchPipeline::InOrder& in_order) {
  if (!trainable_) throw Error("this model was loaded for use, not for training");
  const std::span<PreparedBatch> own = prepared.first(slices.size());
  for (std::size_t i = 0; i < slices.size(); ++i) take_slice(slices[i], slice_plan_.first + static_cast<int>(i), own[i]);
  const bool tells_ranks = tables_->requests_ahead();
  if (dynamic_->any()) {
    std::vector<const KeyedBatch*> keyed;
    for (const PreparedBatch& slice : own) keyed.push_back(&slice.keyed);
    dynamic_->count(keyed, own.front().keyed_step);
  } else {
    finish_step(own);
    if (!tells_ranks) return;
  }
  // Other ranks hear of a step's keys, then of its rows, before they hear of the next step.
  const auto task = [&] {
    const Traffic before = beside_ != nullptr ? beside_->traffic() : Traffic{};
    if (dynamic_->any()) {
      dynamic_->assign(slices.front().step + 1, own.front().keyed_step);
      if (!tells_ranks) return;
      finish_step(own);
    }
    request(own, true, slices.front().step);
    own.front().requests.traffic = beside_->traffic() - before;
  };
  if (in_order) {
    in_order(std::ref(task));
  } else {
    task();
  }
  if (!tells_ranks) finish_step(own);
}

void ModelRuntime::prepare_entity(const Catalogue& catalogue, const Batch& entries, PreparedBatch& prepared) const {
  prepared.negatives.rows = 0;
  prepared.entity_index.clear();
  prepared.log_probability.clear();
  const auto& dense = model_.spec().group(InputGroup::kSamples).dense;
  prepared.dense.assign(static_cast<std::size_t>(entries.rows) * dense.size(), 0.0F);
  const std::size_t width = catalogue.dense_columns().size();
  for (std::size_t i = 0; i < dense.size(); ++i) {
    const auto found = std::find(catalogue.dense_columns().begin(), catalogue.dense_columns().end(), static_cast<std::size_t>(dense[i]));
    if (found == catalogue.dense_columns().end()) continue;
    const auto from = static_cast<std::size_t>(found - catalogue.dense_columns().begin());
    for (std::size_t row = 0; row < static_cast<std::size_t>(entries.rows); ++row) {
      prepared.dense[row * dense.size() + i] = entries.dense[row * width + from];
    }
  }
  // Features of other entities: empty bags.
  prepared.empty_offsets.assign(static_cast<std::size_t>(entries.rows) + 1, 0);
  prepared.columns.clear();
  for (std::size_t i = 0; i < id_sources_.size(); ++i) {
    const IdSource& source = id_sources_[i];
    const auto& columns = catalogue.sparse_columns();
    const auto found = std::find(columns.begin(), columns.end(), source.sparse);
    if (source.group == InputGroup::kNegatives) {
      take_column({}, 0, i, true, prepared);
    } else if (found != columns.end()) {
      take_column(entries.sparse[static_cast<std::size_t>(found - columns.begin())], entries.rows, i, true, prepared);
    } else {
      prepared.columns.push_back({.ids = {}, .offsets = prepared.empty_offsets, .rows = entries.rows, .name = schema_.sparse[source.sparse].name});
      if (dynamic_->is_dynamic(i)) dynamic_->take_empty_bags(entries.rows, i, prepared.keyed);
    }
  }
  dynamic_->find(prepared.keyed);
  prepare_ids(prepared);
}

}  // namespace rechost
