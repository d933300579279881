#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/batch.h"
#include "data/dense_scaling.h"
#include "data/feature_column.h"
#include "data/source.h"
#include "data/vocabulary.h"

namespace rechost {

/// How one column of the loader becomes one column of a batch.
struct ColumnEncoding {
  enum class Target { kDense, kSparse, kLabel, kWeight, kCandidates, kIdWeights };
  static constexpr std::size_t kNone = ~std::size_t{0};

  enum class Padding { kNone, kFront, kBack };

  std::string name;
  std::string source;             ///< the loader's column; most often `name`
  bool source_is_string = false;
  Derivation derivation;          ///< of its values, before all else
  Target target = Target::kDense;
  std::size_t position = 0;  ///< in BatchSchema::dense, sparse or labels; not of id weights
  bool missing_fails = false;
  // Dense:
  bool log1p = false;          ///< log1p(max(x, 0)): counts such as Criteo's may be -1
  float default_value = 0.0F;  ///< for a missing value; enters as it is, untransformed. NaN with a scaling, until that is applied
  DenseScaling scaling;        ///< its numbers are known once they are learnt
  float scaled_default = 0.0F; ///< what a missing value is then
  // Sparse and candidates:
  std::size_t table = 0;         ///< in EncodingPlan::tables
  std::int64_t cardinality = 0;  ///< identity: this feature's own bound
  bool source_is_list = false;
  std::size_t weights = kNone;   ///< in EncodingPlan::columns: what the ids of a list count
  std::int64_t max_length = 0;   ///< lists: keep n; 0: all; 1: that one, or "missing"
  bool keep_first = false;       ///< lists: the first n, not the last
  Padding padding = Padding::kNone;
  std::int64_t ids_per_value = 1;  ///< hashes, or the halves of a key; with more than one a single value lies in a batch as a list
  bool single_key = false;         ///< dynamic: each row has exactly one, that for missing values where there is none
};

/// What resolve_schema() made of columns and settings.
struct EncodingPlan {
  BatchSchema schema;
  std::vector<ColumnEncoding> columns;  ///< in the loader's order
  std::vector<TableEncoding> tables;    ///< in order of their first feature
};

/// Joins the loader's columns with [features]. A column is dense, sparse, label, weight or candidates by its role, ignored when it is an id
/// or a time; `kind` overrides. ConfigError names the feature, what is wrong and what would be right: a string that shall be dense, two
/// features of one table that do not agree, ... `derived`: names of the features that have a source of another name.
EncodingPlan resolve_schema(std::span<const ColumnInfo> columns, const FeatureSettings& settings, std::span<const std::string> derived = {});

/// Positions in `columns` of the plan's columns, by name. DataError when one is not there; labels and weights that are not there are -1
/// when `labels_required` is false.
std::vector<std::int64_t> locate_columns(const EncodingPlan& plan, std::span<const ColumnInfo> columns, bool labels_required);

}  // namespace rechost
