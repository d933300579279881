#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/source.h"

namespace rechost {

/// How a feature enters the model, after [features] met the loader's columns.
struct FeatureInfo {
  enum class Kind { kDense, kSparse };
  enum class Pooling { kNone, kSum, kMean };

  std::string name;
  Kind kind = Kind::kDense;
  std::string entity;
  bool is_key = false;
  // Sparse only:
  std::string table;
  bool is_list = false;
  std::int64_t max_length = 1;  ///< 1: exactly one id; 0: any number; n: at most n
  bool dynamic = false;         ///< of a dynamic table: each value is a key of kIdsPerKey ids, and offsets count those
  /// Dynamic features lie in rows and batches as lists, whether they are or not.
  bool in_lists() const { return is_list || dynamic; }
  Pooling pooling = Pooling::kSum;
  std::string weights;  ///< lists: the column whose numbers the rows of the ids are multiplied by; empty: none
};

struct LabelInfo {
  std::string name;
  LabelKind kind = LabelKind::kBinary;
  std::int64_t classes = 2;  ///< multiclass; 0 until the data told
};

/// The shape of every batch of a run: which columns exist, in which order.
struct BatchSchema {
  std::vector<FeatureInfo> dense;   ///< order of the columns of Batch::dense
  std::vector<FeatureInfo> sparse;  ///< order of Batch::sparse
  std::vector<LabelInfo> labels;    ///< order of the columns of Batch::labels
  bool has_weight = false;
  bool has_candidates = false;
  std::string candidates_table;  ///< the table of the key that the candidates are values of
};

/// Row numbers of one sparse feature for the samples of a batch, already encoded and range-checked.
struct IdColumn {
  std::vector<std::int32_t> ids;      ///< [rows] when each sample has exactly one, else [offsets.back()]; dynamic features: halves of keys
  std::vector<std::int64_t> offsets;  ///< [rows + 1]; empty when each sample has exactly one
  std::vector<float> weights = {};    ///< [ids]: what the row of each counts in a pooled lookup; empty: all 1
};

/// What one step works on. Reused: vectors keep their capacity.
struct Batch {
  std::int64_t step = 0;    ///< global step, counted over the whole run from 0
  std::int64_t epoch = 0;
  std::int64_t rows = 0;    ///< of this slice
  std::int64_t first_row = 0;         ///< position of its first row in the global batch
  std::int64_t global_rows = 0;       ///< of the global batch
  std::vector<std::int64_t> samples;  ///< [rows] sample number in the split
  std::vector<float> dense;           ///< [rows, schema.dense.size()]
  std::vector<IdColumn> sparse;       ///< by sparse feature
  std::vector<float> labels;          ///< [rows, schema.labels.size()]; NaN where the source has none (prediction)
  std::vector<float> weights;         ///< [rows]; empty: all 1
  IdColumn candidates;                ///< with schema.has_candidates: rows of candidates_table, offsets always set
};

/// What the elements of a batch's columns take up.
inline std::uint64_t memory_bytes(const Batch& batch) {
  const auto of_ids = [](const IdColumn& column) { return column.ids.size() * sizeof(std::int32_t) + column.offsets.size() * sizeof(std::int64_t) + column.weights.size() * sizeof(float); };
  std::uint64_t bytes = batch.samples.size() * sizeof(std::int64_t) + of_ids(batch.candidates) +
                        (batch.dense.size() + batch.labels.size() + batch.weights.size()) * sizeof(float);
  for (const IdColumn& column : batch.sparse) bytes += of_ids(column);
  return bytes;
}

}  // namespace rechost
