#pragma once

#include <cstdint>
#include <vector>

namespace rechost {

/// Which place of an epoch each row of each batch has, before shuffling, as StreamingDataset's partition "orig" deals them out
/// (streaming/base/partition/orig.py): the package makes a table of all of them, this computes each. Places that fill up uneven ends come
/// twice. DataLoader workers take turns batch by batch, so their number leaves no trace in the sequence of batches.
class MosaicPartition {
 public:
  struct Shape {
    std::int64_t samples = 0;          ///< of the epoch, >= 1
    std::int64_t canonical_nodes = 1;  ///< divides `nodes`, or is a multiple of it
    std::int64_t nodes = 1;
    std::int64_t ranks_per_node = 1;
    std::int64_t device_batch = 1;     ///< rows of a batch on each rank
    std::int64_t drop_first = 0;       ///< samples seen before
  };

  /// ConfigError or DataError where the package fails.
  explicit MosaicPartition(const Shape& shape);

  const Shape& shape() const { return shape_; }
  /// Rows that each rank gets in all; the last batch may be short.
  std::int64_t rank_rows() const { return rank_rows_; }
  std::int64_t batches() const { return (rank_rows_ + shape_.device_batch - 1) / shape_.device_batch; }
  /// Rows of a global batch, which lie one rank after the other, node by node.
  std::int64_t batch_rows(std::int64_t batch) const;

  /// Row `row` < rank_rows() of a rank.
  std::int64_t place(std::int64_t node, std::int64_t rank, std::int64_t row) const;
  /// Rows [begin, end) of a global batch, 0 <= begin <= end <= batch_rows(batch).
  void places(std::int64_t batch, std::int64_t begin, std::int64_t end, std::int64_t* places) const;

 private:
  std::int64_t entry(std::int64_t canonical_node, std::int64_t column) const;

  Shape shape_;
  std::int64_t width_ = 0;        ///< places of a canonical node, padding included
  std::int64_t unpadded_width_ = 0;
  std::int64_t padding_from_ = 0;  ///< first column that padding repeats; one column only when padding_repeats_one_
  bool padding_repeats_one_ = false;
  bool tiny_ = false;              ///< too few samples for a row each: they are repeated over and over
  std::int64_t node_rows_ = 0;     ///< places that each node gets, uneven end included
  std::int64_t rank_rows_ = 0;
  bool repeats_end_ = false;       ///< an uneven end repeats rows from shortly before; else from the beginning
  std::vector<std::int64_t> row_begin_;  ///< [canonical_nodes + 1]
};

}  // namespace rechost
