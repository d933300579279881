// What ChunkEncoder does to ids that have been selected: several hashes of a value, keys, padding, and the scaling of dense columns.

#include <algorithm>
#include <limits>

#include "data/chunk_encoder.h"
#include "data/column_values.h"

namespace rechost {

void ChunkEncoder::hash_selected(const ColumnEncoding& column, const ColumnView& view, const Vocabulary& vocabulary) {
  ids_.resize(elements_.size() * static_cast<std::size_t>(column.ids_per_value));
  std::size_t next = 0;
  const auto hash = [&](auto value) {
    for (std::int64_t h = 0; h < column.ids_per_value; ++h) ids_[next++] = vocabulary.hashed_row(value, h);
  };
  if (view.type == ValueType::kString) {
    for (const std::int64_t element : elements_) hash(view.string(element));
    return;
  }
  with_numbers(view, [&](auto read) {
    for (const std::int64_t element : elements_) hash(static_cast<std::int64_t>(read(element)));
  });
}

void ChunkEncoder::take_selected_keys(const ColumnView& view, const Vocabulary& vocabulary) {
  ids_.resize(elements_.size() * static_cast<std::size_t>(kIdsPerKey));
  std::size_t next = 0;
  const auto take = [&](auto value) {
    const auto key = static_cast<std::uint64_t>(vocabulary.key(value));
    ids_[next++] = static_cast<std::int32_t>(static_cast<std::uint32_t>(key));
    ids_[next++] = static_cast<std::int32_t>(key >> 32);
  };
  if (view.type == ValueType::kString) {
    for (const std::int64_t element : elements_) take(view.string(element));
    return;
  }
  with_numbers(view, [&](auto read) {
    for (const std::int64_t element : elements_) take(static_cast<std::int64_t>(read(element)));
  });
}

/// From list.offsets, which count selected elements, and ids_, which has `ids_per_value` for each, to the list as the model gets it: padded, and with
/// the row for missing values where a column without lists has none. What fills a list up has no weight in one with weights.
void ChunkEncoder::lay_out_list(const ColumnEncoding& column, std::int32_t missing_id, EncodedChunk::List& list) const {
  using Padding = ColumnEncoding::Padding;
  const std::int64_t wanted = !column.source_is_list || column.single_key ? 1 : column.padding != Padding::kNone ? column.max_length : 0;
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
    if (column.padding == Padding::kFront) fill(filled * column.ids_per_value);
    list.ids.insert(list.ids.end(), ids_.begin() + begin * column.ids_per_value, ids_.begin() + end * column.ids_per_value);
    if (weighted) list.weights.insert(list.weights.end(), weights_.begin() + begin * column.ids_per_value, weights_.begin() + end * column.ids_per_value);
    if (column.padding != Padding::kFront) fill(filled * column.ids_per_value);
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
