#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "config/sections.h"
#include "data/column_derivation.h"
#include "data/source.h"

namespace rechost {

using FeatureSettings = std::function<FeatureSection(const std::string& feature)>;

/// A column as a feature sees it: the loader's, after what [features] says is done to its values first.
struct FeatureColumn {
  ColumnInfo info;             ///< name of the feature; type and cardinality of the derived values
  std::string source;          ///< name of the loader's column
  bool source_is_string = false;
  FeatureSection section;
  Derivation derivation;
};

/// The loader's columns, and one more for each of `derived`, the features with a `source`. ConfigError names the feature, the key, what is wrong
/// and what would be right: a source that is not there, an extract of something that is no time, ...
std::vector<FeatureColumn> feature_columns(std::span<const ColumnInfo> columns, const FeatureSettings& settings,
                                           std::span<const std::string> derived);

/// ConfigError for keys that have no meaning for a dense feature, or for a sparse one.
void check_dense_keys(const FeatureColumn& column);
void check_sparse_keys(const FeatureColumn& column);
/// The first key that is set and has a meaning for dynamic tables alone; null: none.
const char* dynamic_key(const FeatureSection& section);

}  // namespace rechost
