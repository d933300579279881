#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "data/batch.h"
#include "data/encoded_chunk.h"
#include "data/page_memory.h"

namespace rechost {

/// Encoded rows of one split, in records: what a batch needs of a row lies together, so that fetching a random row touches few lines of
/// memory. Records are RowLayout::words() 32-bit words; lists lie beside them.
class RowStore {
 public:
  /// Room for `capacity` rows; memory is taken as rows come in.
  RowStore(const RowLayout& layout, std::int64_t capacity);

  const RowLayout& layout() const { return layout_; }
  std::int64_t rows() const { return rows_; }
  /// Of the rows that are there.
  std::uint64_t memory_bytes() const;

  /// Takes room for the rows of `chunk` that belong to `split`, and copies their lists. Returns the first row. One thread at a time.
  std::int64_t append(const EncodedChunk& chunk, std::uint8_t split);
  /// Copies the words of these rows to the place that append() gave. Several threads, each for its own chunk.
  void write_records(const EncodedChunk& chunk, std::uint8_t split, std::int64_t first_row);

  /// How to rename the ids of one column: row_of_number[id], and `missing_row` for -1. Null: keep.
  struct Renaming {
    const std::vector<std::int32_t>* row_of_number = nullptr;
    std::int32_t missing_row = 0;
  };
  /// Rows [first, first + count) of the records; several threads on disjoint ranges. [layout().single_features]
  void rename_ids(std::span<const Renaming> by_single_feature, std::int64_t first, std::int64_t count);
  /// All ids of one list column (position in layout().list_features).
  void rename_list_ids(std::size_t list, const Renaming& renaming);

  /// One dense feature of rows [first, first + count), which has not been scaled yet; several threads on disjoint ranges.
  void scale_dense(std::size_t feature, const DenseScaling& scaling, float default_value, std::int64_t first, std::int64_t count);

  const std::uint32_t* record(std::int64_t row) const { return records() + static_cast<std::size_t>(row) * layout_.words(); }
  std::span<const std::int32_t> list(std::size_t list, std::int64_t row) const;
  /// Of the ids of list(); for lists with RowLayout::list_weights.
  std::span<const float> list_weights(std::size_t list, std::int64_t row) const;

 private:
  struct List {
    PageMemory offsets;  ///< int64 [rows + 1]
    PageMemory ids;      ///< int32
    PageMemory weights;  ///< float32, of lists with weights
    std::int64_t id_count = 0;
  };

  void write_all_records(const EncodedChunk& chunk, std::uint32_t* record) const;
  std::uint32_t* records() const { return static_cast<std::uint32_t*>(records_.data()); }

  RowLayout layout_;
  std::int64_t capacity_;
  std::int64_t rows_ = 0;
  PageMemory records_;
  std::vector<List> lists_;
};

/// A row of some store.
struct RowPlace {
  const RowStore* store = nullptr;
  std::int64_t row = 0;
};

/// Replaces the columns of `batch` by these rows, in this order.
void gather_rows(const BatchSchema& schema, const RowLayout& layout, std::span<const RowPlace> places, Batch& batch);
/// The same, all of one store.
void gather_rows(const BatchSchema& schema, const RowStore& store, std::span<const std::int64_t> rows, Batch& batch);

}  // namespace rechost
