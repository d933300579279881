#include "data/row_store.h"

#include <algorithm>
#include <cstring>

namespace rechost {
namespace {

// Rows that are turned from records into columns together: 16 ids of one feature are one line of memory.
constexpr std::size_t kTileRows = 16;
constexpr std::size_t kLineWords = 16;
// Words that one instruction moves on every processor.
constexpr std::size_t kSquare = 4;

/// Four words from each of four places become the columns of four rows, `stride` words apart.
void transpose_square(const std::uint32_t* a, const std::uint32_t* b, const std::uint32_t* c, const std::uint32_t* d, std::uint32_t* to,
                      std::size_t stride) {
  using Words = std::uint32_t __attribute__((vector_size(kSquare * sizeof(std::uint32_t))));
  const auto load = [](const std::uint32_t* from) {
    Words words;
    std::memcpy(&words, from, sizeof words);
    return words;
  };
  const Words ab_low = __builtin_shufflevector(load(a), load(b), 0, 4, 1, 5), ab_high = __builtin_shufflevector(load(a), load(b), 2, 6, 3, 7);
  const Words cd_low = __builtin_shufflevector(load(c), load(d), 0, 4, 1, 5), cd_high = __builtin_shufflevector(load(c), load(d), 2, 6, 3, 7);
  const Words rows[kSquare] = {
      __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5), __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7),
      __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5), __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7)};
  for (std::size_t row = 0; row < kSquare; ++row) std::memcpy(to + row * stride, &rows[row], sizeof(Words));
}

void prefetch_record(const std::uint32_t* record, std::size_t words) {
  for (std::size_t word = 0; word < words; word += kLineWords) __builtin_prefetch(record + word);
  __builtin_prefetch(record + words - 1);
}

/// `to` may be null when there is nothing to copy.
void copy_words(const std::uint32_t* record, std::size_t words, float* to) {
  if (words != 0) std::memcpy(to, record, words * sizeof(float));
}

}  // namespace

RowStore::RowStore(const RowLayout& layout, std::int64_t capacity)
    : layout_(layout), capacity_(capacity), records_(static_cast<std::size_t>(capacity) * layout.words() * sizeof(std::uint32_t)),
      lists_(layout.list_features.size()) {
  for (List& list : lists_) list.offsets = PageMemory((static_cast<std::size_t>(capacity) + 1) * sizeof(std::int64_t));
}

std::uint64_t RowStore::memory_bytes() const {
  std::uint64_t bytes = static_cast<std::uint64_t>(rows_) * layout_.words() * sizeof(std::uint32_t);
  for (const List& list : lists_) {
    bytes += static_cast<std::uint64_t>(rows_) * sizeof(std::int64_t) + static_cast<std::uint64_t>(list.id_count) * sizeof(std::int32_t);
    if (list.weights.bytes() > 0) bytes += static_cast<std::uint64_t>(list.id_count) * sizeof(float);
  }
  return bytes;
}

std::int64_t RowStore::append(const EncodedChunk& chunk, std::uint8_t split) {
  const std::int64_t first = rows_;
  rows_ += std::count(chunk.split.begin(), chunk.split.end(), split);
  for (std::size_t i = 0; i < lists_.size(); ++i) {
    List& list = lists_[i];
    const EncodedChunk::List& from = chunk.lists[i];
    const std::size_t wanted = (static_cast<std::size_t>(list.id_count) + from.ids.size()) * sizeof(std::int32_t);
    static_assert(sizeof(float) == sizeof(std::int32_t));
    const bool weighted = layout_.list_weights[i];
    for (PageMemory* memory : {&list.ids, weighted ? &list.weights : nullptr}) {
      if (memory != nullptr && wanted > memory->bytes()) memory->grow(std::max(wanted, memory->bytes() + memory->bytes() / 2));
    }
    auto* const offsets = static_cast<std::int64_t*>(list.offsets.data());
    auto* const ids = static_cast<std::int32_t*>(list.ids.data());
    auto* const weights = static_cast<float*>(list.weights.data());
    std::int64_t row = first;
    for (std::size_t r = 0; r < chunk.split.size(); ++r) {
      if (chunk.split[r] != split) continue;
      const std::int64_t length = from.offsets[r + 1] - from.offsets[r];
      std::copy_n(from.ids.data() + from.offsets[r], length, ids + list.id_count);
      if (weighted) std::copy_n(from.weights.data() + from.offsets[r], length, weights + list.id_count);
      list.id_count += length;
      offsets[++row] = list.id_count;
    }
  }
  return first;
}

void RowStore::write_records(const EncodedChunk& chunk, std::uint8_t split, std::int64_t first_row) {
  const std::size_t words = layout_.words();
  std::uint32_t* record = records() + static_cast<std::size_t>(first_row) * words;
  const std::size_t rows = chunk.split.size();
  if (static_cast<std::size_t>(std::count(chunk.split.begin(), chunk.split.end(), split)) == rows) return write_all_records(chunk, record);
  for (std::size_t begin = 0; begin < rows; begin += kTileRows) {
    const std::size_t end = std::min(begin + kTileRows, rows);
    std::uint32_t* next = record;
    for (std::size_t word = 0; word < words; ++word) {
      const std::uint32_t* const column = chunk.words[word].data();
      next = record;
      for (std::size_t r = begin; r < end; ++r) {
        if (chunk.split[r] != split) continue;
        next[word] = column[r];
        next += words;
      }
    }
    record = next;
  }
}

/// The same where every row of the chunk is wanted, as most chunks are.
void RowStore::write_all_records(const EncodedChunk& chunk, std::uint32_t* record) const {
  const std::size_t words = layout_.words();
  const std::size_t rows = chunk.split.size();
  std::vector<const std::uint32_t*> columns;
  for (std::size_t word = 0; word < words; ++word) columns.push_back(chunk.words[word].data());
  const std::uint32_t* const* const column = columns.data();
  const std::size_t squares = words - words % kSquare;
  const std::size_t tiles = rows - rows % kTileRows;
  for (std::size_t begin = 0; begin < tiles; begin += kTileRows) {
    if (begin + kTileRows < tiles) {
      for (std::size_t word = 0; word < words; ++word) __builtin_prefetch(column[word] + begin + kTileRows);
    }
    for (std::size_t row = begin; row < begin + kTileRows; row += kSquare) {
      std::uint32_t* const to = record + row * words;
      for (std::size_t word = 0; word < squares; word += kSquare) {
        transpose_square(column[word] + row, column[word + 1] + row, column[word + 2] + row, column[word + 3] + row, to + word, words);
      }
      for (std::size_t word = squares; word < words; ++word) {
        for (std::size_t r = 0; r < kSquare; ++r) to[r * words + word] = column[word][row + r];
      }
    }
  }
  for (std::size_t row = tiles; row < rows; ++row) {
    for (std::size_t word = 0; word < words; ++word) record[row * words + word] = column[word][row];
  }
}

void RowStore::rename_ids(std::span<const Renaming> by_single_feature, std::int64_t first, std::int64_t count) {
  const std::size_t words = layout_.words();
  std::uint32_t* record = records() + static_cast<std::size_t>(first) * words + layout_.first_id();
  for (std::int64_t row = 0; row < count; ++row, record += words) {
    for (std::size_t i = 0; i < by_single_feature.size(); ++i) {
      const Renaming& renaming = by_single_feature[i];
      if (renaming.row_of_number == nullptr) continue;
      const auto id = static_cast<std::int32_t>(record[i]);
      record[i] = static_cast<std::uint32_t>(id < 0 ? renaming.missing_row : (*renaming.row_of_number)[static_cast<std::size_t>(id)]);
    }
  }
}

void RowStore::rename_list_ids(std::size_t list, const Renaming& renaming) {
  if (renaming.row_of_number == nullptr) return;
  auto* const ids = static_cast<std::int32_t*>(lists_[list].ids.data());
  for (std::int64_t i = 0; i < lists_[list].id_count; ++i) {
    ids[i] = ids[i] < 0 ? renaming.missing_row : (*renaming.row_of_number)[static_cast<std::size_t>(ids[i])];
  }
}

void RowStore::scale_dense(std::size_t feature, const DenseScaling& scaling, float default_value, std::int64_t first, std::int64_t count) {
  const std::size_t words = layout_.words();
  std::uint32_t* word = records() + static_cast<std::size_t>(first) * words + feature;
  for (std::int64_t row = 0; row < count; ++row, word += words) scaling.apply(*word, default_value);
}

std::span<const std::int32_t> RowStore::list(std::size_t list, std::int64_t row) const {
  const auto* const offsets = static_cast<const std::int64_t*>(lists_[list].offsets.data());
  const auto* const ids = static_cast<const std::int32_t*>(lists_[list].ids.data());
  return {ids + offsets[row], static_cast<std::size_t>(offsets[row + 1] - offsets[row])};
}

std::span<const float> RowStore::list_weights(std::size_t list, std::int64_t row) const {
  const auto* const offsets = static_cast<const std::int64_t*>(lists_[list].offsets.data());
  const auto* const weights = static_cast<const float*>(lists_[list].weights.data());
  return {weights + offsets[row], static_cast<std::size_t>(offsets[row + 1] - offsets[row])};
}

namespace {

/// place_of(i) is where row i of the batch stands.
template <typename PlaceOf>
void gather(const BatchSchema& schema, const RowLayout& layout, std::size_t rows, PlaceOf&& place_of, Batch& batch) {
  const auto record_of = [&](std::size_t i) {
    const RowPlace place = place_of(i);
    return place.store->record(place.row);
  };
  const auto list_of = [&](std::size_t list, std::size_t i) {
    const RowPlace place = place_of(i);
    return place.store->list(list, place.row);
  };
  const std::size_t words = layout.words();
  batch.rows = static_cast<std::int64_t>(rows);
  batch.dense.resize(rows * layout.dense);
  batch.labels.resize(rows * layout.labels);
  batch.weights.resize(rows * layout.weights);
  batch.sparse.resize(schema.sparse.size());
  for (const std::size_t feature : layout.single_features) {
    batch.sparse[feature].ids.resize(rows);
    batch.sparse[feature].offsets.clear();
    batch.sparse[feature].weights.clear();
  }

  const std::uint32_t* record[kTileRows];
  for (std::size_t i = 0; words > 0 && i < std::min(kTileRows, rows); ++i) prefetch_record(record_of(i), words);
  for (std::size_t begin = 0; words > 0 && begin < rows; begin += kTileRows) {
    const std::size_t count = std::min(kTileRows, rows - begin);
    for (std::size_t i = 0; i < count; ++i) {
      record[i] = record_of(begin + i);
      const std::size_t ahead = begin + kTileRows + i;
      if (ahead < rows) prefetch_record(record_of(ahead), words);
      const std::size_t row = begin + i;
      copy_words(record[i], layout.dense, batch.dense.data() + row * layout.dense);
      copy_words(record[i] + layout.first_label(), layout.labels, batch.labels.data() + row * layout.labels);
      copy_words(record[i] + layout.first_weight(), layout.weights, batch.weights.data() + row * layout.weights);
    }
    for (std::size_t feature = 0; feature < layout.single_features.size(); ++feature) {
      std::int32_t* const ids = batch.sparse[layout.single_features[feature]].ids.data() + begin;
      const std::size_t word = layout.first_id() + feature;
      for (std::size_t i = 0; i < count; ++i) ids[i] = static_cast<std::int32_t>(record[i][word]);
    }
  }

  for (std::size_t list = 0; list < layout.list_features.size(); ++list) {
    const std::size_t feature = layout.list_features[list];
    IdColumn& column = feature == RowLayout::kCandidates ? batch.candidates : batch.sparse[feature];
    column.offsets.resize(rows + 1);
    column.offsets[0] = 0;
    for (std::size_t i = 0; i < rows; ++i) {
      column.offsets[i + 1] = column.offsets[i] + static_cast<std::int64_t>(list_of(list, i).size());
    }
    column.ids.resize(static_cast<std::size_t>(column.offsets[rows]));
    for (std::size_t i = 0; i < rows; ++i) {
      const std::span<const std::int32_t> ids = list_of(list, i);
      std::copy(ids.begin(), ids.end(), column.ids.begin() + column.offsets[i]);
    }
    column.weights.resize(layout.list_weights[list] ? column.ids.size() : 0);
    if (!layout.list_weights[list]) continue;
    for (std::size_t i = 0; i < rows; ++i) {
      const RowPlace place = place_of(i);
      const std::span<const float> weights = place.store->list_weights(list, place.row);
      std::copy(weights.begin(), weights.end(), column.weights.begin() + column.offsets[i]);
    }
  }
}

}  // namespace

void gather_rows(const BatchSchema& schema, const RowLayout& layout, std::span<const RowPlace> places, Batch& batch) {
  gather(schema, layout, places.size(), [places](std::size_t i) { return places[i]; }, batch);
}

void gather_rows(const BatchSchema& schema, const RowStore& store, std::span<const std::int64_t> rows, Batch& batch) {
  gather(schema, store.layout(), rows.size(), [&store, rows](std::size_t i) { return RowPlace{&store, rows[i]}; }, batch);
}

}  // namespace rechost
