#include "data/mosaic_partition.h"

#include <algorithm>

#include "base/error.h"

namespace rechost {

MosaicPartition::MosaicPartition(const Shape& shape) : shape_(shape) {
  const std::int64_t canonical = shape_.canonical_nodes;
  const std::int64_t nodes = shape_.nodes;
  const std::int64_t ranks = shape_.ranks_per_node;
  if (canonical % nodes != 0 && nodes % canonical != 0) {
    fail<ConfigError>("data.mosaic: num_canonical_nodes = {} and {} nodes: one must be a multiple of the other", canonical, nodes);
  }
  const std::int64_t world = nodes * ranks;
  if (shape_.samples + world - shape_.samples % world < shape_.drop_first) {
    fail<DataError>("data.mosaic.state goes on after {} samples of an epoch, which has {}", shape_.drop_first, shape_.samples);
  }
  shape_.drop_first -= shape_.drop_first % nodes;

  unpadded_width_ = (shape_.samples + canonical - 1) / canonical;
  tiny_ = shape_.samples < canonical || (shape_.samples == canonical && canonical < nodes);
  const std::int64_t ratio = canonical < nodes ? nodes / canonical : 1;
  const std::int64_t padding = (ratio - unpadded_width_ % ratio) % ratio;
  width_ = unpadded_width_ + padding;
  if (padding > 0 && !tiny_) {
    // A slice of as many columns, cut off where it would begin before the first; NumPy stretches a single one.
    padding_from_ = std::max<std::int64_t>(width_ - 2 * padding - ratio + 1, 0);
    const std::int64_t columns = std::max<std::int64_t>(width_ - padding - ratio + 1, 0) - padding_from_;
    padding_repeats_one_ = columns == 1;
    if (columns != padding && columns != 1) {
      fail<DataError>("data.mosaic: {} samples are too few to deal them out to {} canonical and {} real nodes", shape_.samples, canonical, nodes);
    }
  }
  row_begin_.resize(static_cast<std::size_t>(canonical) + 1);
  for (std::int64_t row = 0; row <= canonical; ++row) {
    row_begin_[static_cast<std::size_t>(row)] = static_cast<std::int64_t>(static_cast<__int128>(row) * shape_.samples / canonical);
  }

  node_rows_ = std::max<std::int64_t>(canonical * width_ - shape_.drop_first, 0) / nodes;
  const std::int64_t missing = (ranks - node_rows_ % ranks) % ranks;
  repeats_end_ = ranks + missing - 1 <= node_rows_;
  rank_rows_ = (node_rows_ + missing) / ranks;
}

std::int64_t MosaicPartition::batch_rows(std::int64_t batch) const {
  return std::clamp<std::int64_t>(rank_rows_ - batch * shape_.device_batch, 0, shape_.device_batch) * shape_.nodes * shape_.ranks_per_node;
}

std::int64_t MosaicPartition::entry(std::int64_t canonical_node, std::int64_t column) const {
  if (tiny_) return (canonical_node * width_ + column) % shape_.samples;
  if (column >= unpadded_width_) column = padding_from_ + (padding_repeats_one_ ? 0 : column - unpadded_width_);
  const std::int64_t begin = row_begin_[static_cast<std::size_t>(canonical_node)];
  const std::int64_t rows = row_begin_[static_cast<std::size_t>(canonical_node) + 1] - begin;
  // A row one sample short repeats its last.
  return begin + std::min(column, rows - 1);
}

std::int64_t MosaicPartition::place(std::int64_t node, std::int64_t rank, std::int64_t row) const {
  std::int64_t of_node = rank + shape_.ranks_per_node * row;
  if (of_node >= node_rows_) {
    const std::int64_t beyond = of_node - node_rows_;
    const std::int64_t missing = rank_rows_ * shape_.ranks_per_node - node_rows_;
    of_node = repeats_end_ ? node_rows_ - shape_.ranks_per_node - missing + 1 + beyond : beyond % node_rows_;
  }
  const std::int64_t flat = shape_.drop_first + node + shape_.nodes * of_node;
  return entry(flat % shape_.canonical_nodes, flat / shape_.canonical_nodes);
}

void MosaicPartition::places(std::int64_t batch, std::int64_t begin, std::int64_t end, std::int64_t* places) const {
  if (begin >= end) return;
  const std::int64_t rows = batch_rows(batch) / (shape_.nodes * shape_.ranks_per_node);  // of each rank
  std::int64_t device = begin / rows;
  std::int64_t row = begin % rows;
  for (std::int64_t i = begin; i < end; ++i) {
    *places++ = place(device / shape_.ranks_per_node, device % shape_.ranks_per_node, batch * shape_.device_batch + row);
    if (++row == rows) {
      row = 0;
      ++device;
    }
  }
}

}  // namespace rechost
