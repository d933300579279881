// What ChunkEncoder does to ids that have been selected: several hashes of a value, padding, and the scaling of dense columns.

#include <algorithm>
#include <limits>

#include "data/chunk_encoder.h"
#include "data/column_values.h"

namespace rechost {

void ChunkEncoder::hash_selected(const ColumnEncoding& column, const ColumnView& view, const Vocabulary& vocabulary) {
  ids_.resize(elements_.size() * static_cast<std::size_t>(column.hashes));
  std::size_t next = 0;
  const auto hash = [&](auto value) {
    for (std::int64_t h = 0; h < column.hashes; ++h) ids_[next++] = vocabulary.hashed_row(value, h);
  };
  if (view.type == ValueType::kString) {
    for (const std::int64_t element : elements_) hash(view.string(element));
    return;
  }
  with_numbers(view, [&](auto read) {
    for (const std::int64_t element : elements_) hash(static_cast<std::int64_t>(read(element)));
  });
}

/// From list.offsets, which count selected elements, and ids_, which has `hashes` for each, to the list as the model gets it: padded, and with
/// the row for missing values where a column without lists has none. What fills a list up has no weight in one with weights.
void ChunkEncoder::lay_out_list(const ColumnEncoding& column, std::int32_t missing_id, EncodedChunk::List& list) const {
  using Padding = ColumnEncoding::Padding;
  const std::int64_t wanted = !column.source_is_list ? 1 : column.padding != Padding::kNone ? column.max_length : 0;
  const bool weighted = column.weights != ColumnEncoding::kNone;
  list.ids.clear();
  list.weights.clear();
  const auto fill = [&](std::int64_t count) {
    list.ids.insert(list.ids.end(), static_cast<std::size_t>(count), missing_id);
    if (weighted) list.weights.insert(list.weights.end(), static_cast<std::size_t>(count), 0.0F);
  };
  std::int64_t begin = 0;
  for (std::size_t row = 1; row < list.offsets.size(); ++row) {
    const std::int64_t end = list.offsets[row];
    const bool left_out = result_->split[row - 1] == EncodedChunk::kLeftOut;
    const std::int64_t filled = left_out ? 0 : std::max<std::int64_t>(wanted - (end - begin), 0);
    if (column.padding == Padding::kFront) fill(filled * column.hashes);
    list.ids.insert(list.ids.end(), ids_.begin() + begin * column.hashes, ids_.begin() + end * column.hashes);
    if (weighted) list.weights.insert(list.weights.end(), weights_.begin() + begin * column.hashes, weights_.begin() + end * column.hashes);
    if (column.padding != Padding::kFront) fill(filled * column.hashes);
    list.offsets[row] = static_cast<std::int64_t>(list.ids.size());
    begin = end;
  }
}

void ChunkEncoder::count_missing(const ColumnEncoding& column, const EncodedChunk::List& list, const Vocabulary& vocabulary,
                                 const Counting& counting) const {
  std::int64_t missing = 0;
  for (std::size_t row = 0; row + 1 < list.offsets.size(); ++row) {
    missing += list.offsets[row] == list.offsets[row + 1] && result_->split[row] == counting.training_split;
  }
  if (missing > 0) counting.builders[column.table]->count_row(vocabulary.missing_row(), missing);
}

void ChunkEncoder::scale_dense(const Counting* counting) {
  result_->moments.assign(plan_.schema.dense.size(), {});
  for (const ColumnEncoding& column : plan_.columns) {
    if (column.target != ColumnEncoding::Target::kDense || column.scaling.kind == DenseScaling::Kind::kNone) continue;
    std::vector<std::uint32_t>& words = result_->words[column.position];
    if (counting != nullptr) {
      result_->moments[column.position].add(words, result_->split, counting->training_split);
    } else {
      column.scaling.apply(words, column.scaled_default);
    }
  }
}

}  // namespace rechost
