// The C++20 layer over rechost/model.h: what the data offers (Schema) and what a model asks for (Spec).
// No LibTorch in here; authors who write torch::nn modules include torch_model.hpp, which brings this along.
#ifndef RECHOST_CXX_MODEL_HPP
#define RECHOST_CXX_MODEL_HPP

#include "rechost/cxx/plugin.hpp"
#include "rechost/model.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rechost {
inline namespace v1_0 __attribute__((visibility("hidden"))) {

// ---- what the data offers ----

struct Feature {
  std::string name;
  std::string table;    // sparse: the table that it reads; features with one table share rows
  std::string entity;   // "user", "item" or empty
  bool sparse = false;
  bool key = false;     // identifies its entity
  int64_t rows = 0;     // sparse: rows that its table needs
  int64_t max_length = 0;
  uint32_t pooling = 0; // RH_POOLING_*
};

struct Label {
  std::string name;
  uint32_t kind = 0;  // RH_LABEL_*
  int64_t classes = 1;
};

// A copy, so that it may be kept.
class Schema {
 public:
  explicit Schema(const rh_data_schema& schema) {
    const auto* feature_at = reinterpret_cast<const char*>(schema.features);
    for (uint32_t index = 0; index < schema.feature_count; ++index, feature_at += schema.feature_stride) {
      const auto& given = *reinterpret_cast<const rh_feature*>(feature_at);
      Feature& feature = features_.emplace_back();
      feature.name = to_string(given.name);
      feature.table = to_string(given.table);
      feature.entity = to_string(given.entity);
      feature.sparse = given.kind == RH_FEATURE_SPARSE;
      feature.key = given.is_key != 0;
      feature.rows = given.rows;
      feature.max_length = given.max_length;
      feature.pooling = given.pooling;
    }
    const auto* label_at = reinterpret_cast<const char*>(schema.labels);
    for (uint32_t index = 0; index < schema.label_count; ++index, label_at += schema.label_stride) {
      const auto& given = *reinterpret_cast<const rh_label*>(label_at);
      labels_.push_back({to_string(given.name), given.kind, given.classes});
    }
  }

  const std::vector<Feature>& features() const noexcept { return features_; }
  const std::vector<Label>& labels() const noexcept { return labels_; }
  std::vector<Feature> dense_features() const { return select(false); }
  std::vector<Feature> sparse_features() const { return select(true); }

  const Feature& feature(std::string_view name) const {
    for (const Feature& feature : features_)
      if (feature.name == name) return feature;
    throw ConfigError("the data has no feature '" + std::string(name) + "'; it has " + names(features_));
  }

  const Label& label(std::string_view name) const { return labels_[label_index(name)]; }

  // Column of Inputs::labels().
  std::size_t label_index(std::string_view name) const {
    for (std::size_t index = 0; index < labels_.size(); ++index)
      if (labels_[index].name == name) return index;
    throw ConfigError("the data has no label '" + std::string(name) + "'; it has " + names(labels_));
  }

  // Rows that the table needs when its number is taken from the data.
  int64_t table_rows(std::string_view table) const {
    int64_t rows = 0;
    for (const Feature& feature : features_)
      if (feature.sparse && feature.table == table) rows = std::max(rows, feature.rows);
    return rows;
  }

 private:
  std::vector<Feature> select(bool sparse) const {
    std::vector<Feature> selected;
    std::copy_if(features_.begin(), features_.end(), std::back_inserter(selected),
                 [&](const Feature& feature) { return feature.sparse == sparse; });
    return selected;
  }

  template <class Named>
  static std::string names(const std::vector<Named>& entries) {
    std::string result;
    for (const Named& entry : entries) result += (result.empty() ? "" : ", ") + entry.name;
    return result.empty() ? "none" : result;
  }

  std::vector<Feature> features_;
  std::vector<Label> labels_;
};

// ---- what a model asks for ----

enum class Group : uint32_t { kSamples = RH_INPUTS_SAMPLES, kNegatives = RH_INPUTS_NEGATIVES };

enum class Similarity : uint32_t { kDot = 1, kCosine = 2 };

struct Initializer {
  static rh_initializer constant(double value) { return {RH_INIT_CONSTANT, 0, value, 0}; }
  static rh_initializer uniform(double low, double high) { return {RH_INIT_UNIFORM, 0, low, high}; }
  static rh_initializer normal(double mean, double deviation) { return {RH_INIT_NORMAL, 0, mean, deviation}; }
};

// Handles: what Spec returns and Inputs and Outputs take.
struct Embedding {
  uint32_t index = 0;
  Group group = Group::kSamples;
  int64_t dim = 0;
  bool sequence = false;
};

struct Head {
  uint32_t index = 0;
};

// Tells the host what the model wants. Valid while the model is constructed.
class Spec {
 public:
  struct HeadEntry {
    std::string name;
    uint32_t kind;
    int64_t size;
  };

  Spec(const Schema& schema, const rh_spec_builder& builder) : schema_(schema), builder_(builder) {}
  Spec(const Spec&) = delete;
  Spec& operator=(const Spec&) = delete;

  // The columns of Inputs::dense(), in this order. At most once per group.
  void dense(const std::vector<Feature>& features, Group group = Group::kSamples) {
    std::vector<rh_string> names;
    for (const Feature& feature : features) names.push_back(to_abi(feature.name));
    check(builder_.add_dense_features(&builder_, static_cast<uint32_t>(group), names.data(), static_cast<uint32_t>(names.size())));
  }

  // The feature's rows, pooled as the user configured it, from the table that the data names. Embeddings of equal dimension
  // and group, declared one after the other, lie side by side in memory: Inputs::embeddings() then needs no copy.
  Embedding embedding(const Feature& feature, int64_t dim, Group group = Group::kSamples) {
    // Uniform in +-1/sqrt(rows): Naumov et al. 2019, "Deep Learning Recommendation Model ...".
    const double bound = 1.0 / std::sqrt(static_cast<double>(std::max<int64_t>(1, schema_.table_rows(feature.table))));
    return embedding(feature, feature.table, dim, Initializer::uniform(-bound, bound), feature.pooling, group);
  }

  Embedding embedding(const Feature& feature, int64_t dim, const rh_initializer& initializer, Group group = Group::kSamples) {
    return embedding(feature, feature.table, dim, initializer, feature.pooling, group);
  }

  // With every choice open: the table's name, its initial values (those of its first use count), RH_POOLING_*.
  Embedding embedding(const Feature& feature, std::string_view table, int64_t dim, const rh_initializer& initializer,
                      uint32_t pooling, Group group) {
    rh_embedding_spec spec{};
    spec.struct_size = sizeof(spec);
    spec.group = static_cast<uint32_t>(group);
    spec.feature = to_abi(feature.name);
    spec.table = find_or_add_table(table, dim, initializer);
    spec.pooling = pooling;
    Embedding handle{0, group, dim, pooling == RH_POOLING_NONE};
    check(builder_.add_embedding(&builder_, &spec, &handle.index));
    return handle;
  }

  // Heads with a label: the host computes their loss.
  Head binary(std::string_view name, std::string_view label, double weight = 1) {
    return add_head(RH_HEAD_BINARY, name, label, {}, 1, weight);
  }
  Head regression(std::string_view name, std::string_view label, double weight = 1) {
    return add_head(RH_HEAD_REGRESSION, name, label, {}, 1, weight);
  }
  Head multiclass(std::string_view name, std::string_view label, int64_t classes, double weight = 1) {
    return add_head(RH_HEAD_MULTICLASS, name, label, {}, classes, weight);
  }
  // `count` labels in a row, from `first_label` on.
  Head multilabel(std::string_view name, std::string_view first_label, int64_t count, double weight = 1) {
    return add_head(RH_HEAD_MULTILABEL, name, first_label, {}, count, weight);
  }
  // Binary, regression or multiclass, as the data says of the label.
  Head for_label(std::string_view name, const Label& label, double weight = 1) {
    if (label.kind == RH_LABEL_MULTICLASS) return multiclass(name, label.name, label.classes, weight);
    return label.kind == RH_LABEL_REGRESSION ? regression(name, label.name, weight) : binary(name, label.name, weight);
  }
  // A vector to export; only the entity's features are there when this head alone is wanted.
  Head vector(std::string_view name, std::string_view entity, int64_t dim, Similarity similarity) {
    return add_head(RH_HEAD_EMBEDDING, name, {}, entity, dim, 0, static_cast<uint32_t>(similarity));
  }
  // The model's own loss, a mean over the rows. Asked for in train steps.
  Head loss(std::string_view name, double weight = 1) { return add_head(RH_HEAD_LOSS, name, {}, {}, 1, weight); }
  // A logit that is reported and predicted, but not trained.
  Head score(std::string_view name) { return add_head(RH_HEAD_SCORE, name, {}, {}, 1, 0); }

  // Negatives that the host draws for train steps: `per_sample` for each sample, in Group::kNegatives.
  void negatives(std::string_view entity, int64_t per_sample, uint32_t distribution, double power = 0.75) {
    rh_negatives_spec spec{};
    spec.struct_size = sizeof(spec);
    spec.distribution = distribution;
    spec.entity = to_abi(entity);
    spec.per_sample = per_sample;
    spec.power = power;
    check(builder_.request_negatives(&builder_, &spec));
  }

  // Asks for Inputs::entity_index() and Inputs::log_probability() of this entity in train steps.
  void entity_index(std::string_view entity) { check(builder_.request_entity_index(&builder_, to_abi(entity))); }

  // For layers above this one. The values are the plugin's to write in bind.
  uint32_t parameter(std::string_view name, const std::vector<int64_t>& shape, bool decay) {
    const rh_parameter_spec spec = parameter_spec(name, shape, decay);
    uint32_t index = 0;
    check(builder_.add_parameter(&builder_, &spec, &index));
    return index;
  }
  uint32_t buffer(std::string_view name, const std::vector<int64_t>& shape) {
    const rh_parameter_spec spec = parameter_spec(name, shape, false);
    uint32_t index = 0;
    check(builder_.add_buffer(&builder_, &spec, &index));
    return index;
  }

  const std::vector<HeadEntry>& heads() const noexcept { return heads_; }

 private:
  struct TableEntry {
    std::string name;
    int64_t dim;
    uint32_t index;
  };

  void check(rh_error* error) const { host().throw_if(error); }

  uint32_t find_or_add_table(std::string_view name, int64_t dim, const rh_initializer& initializer) {
    for (const TableEntry& table : tables_) {
      if (table.name != name) continue;
      if (table.dim != dim)
        throw ConfigError("table '" + table.name + "' is read with dimension " + std::to_string(table.dim) + " and with " +
                          std::to_string(dim) + "; features that share a table share its dimension");
      return table.index;
    }
    rh_table_spec spec{};
    spec.struct_size = sizeof(spec);
    spec.name = to_abi(name);
    spec.rows = 0;  // as many as the features that read it need
    spec.dim = dim;
    spec.initializer = initializer;
    TableEntry entry{std::string(name), dim, 0};
    check(builder_.add_table(&builder_, &spec, &entry.index));
    tables_.push_back(entry);
    return entry.index;
  }

  Head add_head(uint32_t kind, std::string_view name, std::string_view label, std::string_view entity, int64_t size,
                double weight, uint32_t similarity = 0) {
    rh_head_spec spec{};
    spec.struct_size = sizeof(spec);
    spec.kind = kind;
    spec.name = to_abi(name);
    spec.label = to_abi(label);
    spec.entity = to_abi(entity);
    spec.size = size;
    spec.weight = weight;
    spec.similarity = similarity;
    Head head;
    check(builder_.add_head(&builder_, &spec, &head.index));
    heads_.push_back({std::string(name), kind, size});
    return head;
  }

  static rh_parameter_spec parameter_spec(std::string_view name, const std::vector<int64_t>& shape, bool decay) {
    rh_parameter_spec spec{};
    spec.struct_size = sizeof(spec);
    spec.ndim = static_cast<uint32_t>(shape.size());
    spec.name = to_abi(name);
    spec.shape = shape.data();
    spec.initializer = {RH_INIT_PLUGIN, 0, 0, 0};
    spec.decay = decay ? 1 : 0;
    return spec;
  }

  const Schema& schema_;
  const rh_spec_builder& builder_;
  std::vector<TableEntry> tables_;
  std::vector<HeadEntry> heads_;
};

}  // namespace v1_0
}  // namespace rechost

#endif  // RECHOST_CXX_MODEL_HPP
