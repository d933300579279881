#pragma once

#include <cstdint>
#include <vector>

#include "data/dense_scaling.h"
#include "data/schema.h"
#include "data/source.h"

namespace rechost {

/// Where a row's values are kept. Columns with exactly one value per row are 32-bit words of one record, in this order: dense floats,
/// labels, weight, ids. Lists lie beside it, one array per list column; candidates are the last of them.
struct RowLayout {
  explicit RowLayout(const BatchSchema& schema);

  std::size_t dense = 0;
  std::size_t labels = 0;
  std::size_t weights = 0;                   ///< 0 or 1
  std::vector<std::size_t> single_features;  ///< positions in BatchSchema::sparse
  std::vector<std::size_t> list_features;    ///< the same; kCandidates for the candidates
  std::vector<bool> list_weights;            ///< by list: whether its ids have weights
  static constexpr std::size_t kCandidates = ~std::size_t{0};

  std::size_t first_label() const { return dense; }
  std::size_t first_weight() const { return dense + labels; }
  std::size_t first_id() const { return dense + labels + weights; }
  std::size_t words() const { return first_id() + single_features.size(); }
};

/// One chunk, encoded, still in columns. Reused: vectors keep their capacity.
struct EncodedChunk {
  static constexpr std::uint8_t kLeftOut = 255;

  struct List {
    std::vector<std::int64_t> offsets;  ///< [rows + 1]
    std::vector<std::int32_t> ids;
    std::vector<float> weights;  ///< [ids] with RowLayout::list_weights, else empty
  };

  std::int64_t rows = 0;                          ///< rows that the loader delivered
  std::vector<std::int64_t> row_in_chunk;         ///< [rows] counting declared rows
  std::vector<std::uint8_t> split;                ///< [rows] which split a row belongs to; kLeftOut: bad
  std::vector<std::vector<std::uint32_t>> words;  ///< by word of RowLayout: [rows], bits of a float or an int32
  std::vector<List> lists;                        ///< by RowLayout::list_features
  std::vector<BadRow> bad_rows;                   ///< ascending row_in_chunk
  std::vector<float> largest_label;               ///< by label, over good rows
  std::vector<DenseMoments> moments;              ///< by dense feature, of those whose scaling is being learnt
};

}  // namespace rechost
