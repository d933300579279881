#include "data/dataset_source.h"

#include <algorithm>

#include "base/error.h"
#include "data/batch.h"

namespace rechost {

namespace {

/// A dynamic feature: keys in place of their halves, without those that fill lists up.
struct KeyColumn {
  std::vector<std::int64_t> keys;
  std::vector<std::uint8_t> validity;  ///< a bit for each row; lists: none
  std::vector<std::int64_t> offsets;   ///< lists: [rows + 1]
  std::vector<float> weights;          ///< [keys], or none
};

KeyColumn keys_of(const IdColumn& column, std::int64_t rows, bool is_list) {
  KeyColumn made;
  const auto key_at = [&](std::int64_t place) { return key_of_ids(column.ids.data() + place * kIdsPerKey); };
  if (!is_list) {
    made.validity.assign(static_cast<std::size_t>(rows + 7) / 8, 0);
    for (std::int64_t row = 0; row < rows; ++row) {
      made.keys.push_back(key_at(row));
      if (made.keys.back() != kMissingKey) made.validity[static_cast<std::size_t>(row >> 3)] |= static_cast<std::uint8_t>(1U << (row & 7));
    }
    return made;
  }
  made.offsets.push_back(0);
  for (std::size_t row = 0; row < static_cast<std::size_t>(rows); ++row) {
    for (std::int64_t place = column.offsets[row] / kIdsPerKey; place < column.offsets[row + 1] / kIdsPerKey; ++place) {
      if (key_at(place) == kMissingKey) continue;
      made.keys.push_back(key_at(place));
      if (!column.weights.empty()) made.weights.push_back(column.weights[static_cast<std::size_t>(place * kIdsPerKey)]);
    }
    made.offsets.push_back(static_cast<std::int64_t>(made.keys.size()));
  }
  return made;
}

/// A batch, and its columns as views.
class BatchData : public ChunkData {
 public:
  Batch batch;
  std::vector<std::vector<float>> floats;          // what lies row by row in the batch, column by column
  std::vector<std::vector<std::int32_t>> classes;  // of labels
  std::vector<KeyColumn> keys;                     // of dynamic features and their weights
  std::vector<ColumnView> views;

  std::span<const ColumnView> columns() const override { return views; }
  std::int64_t rows() const override { return batch.rows; }
};

/// Column `column` of a matrix with `width` columns.
std::vector<float> column_of(const std::vector<float>& matrix, std::size_t column, std::size_t width) {
  std::vector<float> values(matrix.size() / width);
  for (std::size_t row = 0; row < values.size(); ++row) values[row] = matrix[row * width + column];
  return values;
}

ColumnView view_of(const IdColumn& column, std::int64_t rows) {
  ColumnView view{.type = ValueType::kInt32, .rows = rows};
  view.values = column.ids.data();
  if (!column.offsets.empty()) view.list_offsets64 = column.offsets.data();
  return view;
}

ColumnView view_of(const KeyColumn& column, std::int64_t rows) {
  ColumnView view{.type = ValueType::kInt64, .rows = rows};
  view.values = column.keys.data();
  if (!column.validity.empty()) view.validity = column.validity.data();
  if (!column.offsets.empty()) view.list_offsets64 = column.offsets.data();
  return view;
}

ColumnInfo info_of(const FeatureInfo& feature, ColumnRole role) {
  ColumnInfo column{.name = feature.name, .role = role};
  column.entity = feature.entity;
  column.is_key = feature.is_key;
  return column;
}

}  // namespace

std::string weights_column(const FeatureInfo& feature) { return feature.name + "_weights"; }

DatasetSource::DatasetSource(const Dataset& dataset) : dataset_(dataset) {
  const BatchSchema& schema = dataset.schema();
  for (const FeatureInfo& feature : schema.dense) columns_.push_back(info_of(feature, ColumnRole::kDense));
  for (const FeatureInfo& feature : schema.sparse) {
    ColumnInfo column = info_of(feature, ColumnRole::kSparse);
    column.type = feature.dynamic ? ValueType::kInt64 : ValueType::kInt32;
    column.is_list = feature.is_list;
    column.nullable = feature.dynamic && !feature.is_list;
    if (!feature.dynamic) column.cardinality = dataset.vocabularies().at(feature.table).rows();
    columns_.push_back(std::move(column));
  }
  for (const LabelInfo& label : schema.labels) {
    ColumnInfo column{.name = label.name, .role = ColumnRole::kLabel};
    column.label_kind = label.kind;
    if (label.kind == LabelKind::kMulticlass) {
      column.type = ValueType::kInt32;
      column.cardinality = label.classes;
    }
    columns_.push_back(std::move(column));
  }
  for (const ColumnEncoding& encoding : dataset.plan().columns) {
    if (encoding.target == ColumnEncoding::Target::kWeight) columns_.push_back({.name = encoding.name, .role = ColumnRole::kWeight});
  }
  for (const ColumnEncoding& encoding : dataset.plan().columns) {
    if (encoding.target != ColumnEncoding::Target::kCandidates || !schema.has_candidates) continue;
    dynamic_candidates_ = dataset.vocabularies().at(schema.candidates_table).dynamic();
    const ValueType type = dynamic_candidates_ ? ValueType::kInt64 : ValueType::kInt32;
    ColumnInfo column{.name = encoding.name, .role = ColumnRole::kCandidates, .type = type, .is_list = true};
    column.entity = "item";
    columns_.push_back(std::move(column));
  }
  first_weights_ = columns_.size();
  // Padding and several hashes make other lists of one column, so each feature has weights of its own.
  for (std::size_t feature = 0; feature < schema.sparse.size(); ++feature) {
    if (schema.sparse[feature].weights.empty()) continue;
    const std::string name = weights_column(schema.sparse[feature]);
    if (std::any_of(columns_.begin(), columns_.end(), [&](const ColumnInfo& other) { return other.name == name; })) {
      fail<ConfigError>("the weights of \"{}\" would be a second column called \"{}\"; give that feature another name", schema.sparse[feature].name, name);
    }
    weights_of_.push_back(feature);
    columns_.push_back({.name = name, .role = ColumnRole::kId, .is_list = true});
  }
  std::int64_t begin = 0;
  for (const std::int64_t samples : dataset.chunk_samples()) {
    chunk_begin_.push_back(begin);
    begin += samples;
  }
}

std::unique_ptr<ChunkData> DatasetSource::read(std::int64_t chunk, std::span<const std::uint32_t> wanted, const std::function<void(BadRow&&)>&) {
  auto data = std::make_unique<BatchData>();
  Batch& batch = data->batch;
  dataset_.gather_range(chunk_begin_[static_cast<std::size_t>(chunk)], chunk_rows(chunk), batch);
  const BatchSchema& schema = dataset_.schema();
  data->floats.reserve(wanted.size());
  data->classes.reserve(wanted.size());
  data->keys.reserve(wanted.size());
  const auto add_ids = [&](const IdColumn& ids, bool dynamic, bool is_list) {
    data->views.push_back(dynamic ? view_of(data->keys.emplace_back(keys_of(ids, batch.rows, is_list)), batch.rows) : view_of(ids, batch.rows));
  };
  const auto add_floats = [&](std::vector<float> values) {
    ColumnView view{.type = ValueType::kFloat32, .rows = batch.rows};
    view.values = data->floats.emplace_back(std::move(values)).data();
    data->views.push_back(view);
  };
  for (const std::uint32_t position : wanted) {
    const ColumnInfo& column = columns_[position];
    std::size_t place = position;
    switch (column.role) {
      case ColumnRole::kDense:
        add_floats(column_of(batch.dense, place, schema.dense.size()));
        break;
      case ColumnRole::kSparse:
        place -= schema.dense.size();
        add_ids(batch.sparse[place], schema.sparse[place].dynamic, schema.sparse[place].is_list);
        break;
      case ColumnRole::kLabel: {
        place -= schema.dense.size() + schema.sparse.size();
        std::vector<float> values = column_of(batch.labels, place, schema.labels.size());
        if (column.type == ValueType::kFloat32) {
          add_floats(std::move(values));
          break;
        }
        ColumnView view{.type = ValueType::kInt32, .rows = batch.rows};
        view.values = data->classes.emplace_back(values.begin(), values.end()).data();
        data->views.push_back(view);
        break;
      }
      case ColumnRole::kWeight:
        add_floats(batch.weights);
        break;
      case ColumnRole::kId: {
        const std::size_t feature = weights_of_[position - first_weights_];
        add_ids(batch.sparse[feature], schema.sparse[feature].dynamic, true);
        ColumnView& view = data->views.back();
        view.type = ValueType::kFloat32;
        view.values = schema.sparse[feature].dynamic ? data->keys.back().weights.data() : batch.sparse[feature].weights.data();
        break;
      }
      default:
        add_ids(batch.candidates, dynamic_candidates_, true);
        break;
    }
  }
  return data;
}

}  // namespace rechost
