#include "plugin/model_declaration.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "base/nearest_name.h"
#include "plugin/host_table.h"

namespace rechost {
namespace {

constexpr std::uint32_t kMostDimensions = 8;
constexpr std::int64_t kMostElements = std::int64_t{1} << 40;
constexpr std::size_t kMostHeads = 64;  // rh_step::heads is a mask of 64 bits

InputGroup read_group(std::uint32_t group, std::string_view function) {
  if (group >= kInputGroups) fail<PluginError>("{}: group {}; there are 0 (samples) and 1 (negatives)", function, group);
  return static_cast<InputGroup>(group);
}

std::string read_name(rh_string name, std::string_view function) {
  const std::string_view view = to_view(name, fmt::format("{}: name", function));
  if (view.empty()) fail<PluginError>("{}: name is empty", function);
  return std::string(view);
}

template <typename Named>
void check_new(const std::vector<Named>& all, const std::string& name, std::string_view function) {
  const bool known = std::any_of(all.begin(), all.end(), [&](const Named& one) { return one.name == name; });
  if (known) fail<PluginError>("{}: \"{}\" was declared before", function, name);
}

InitializerSpec read_initializer(const rh_initializer& initializer, bool plugin_allowed, const std::string& what) {
  const std::uint32_t last = plugin_allowed ? RH_INIT_PLUGIN : RH_INIT_KAIMING_UNIFORM;
  if (initializer.kind < RH_INIT_CONSTANT || initializer.kind > last) {
    fail<PluginError>("{}: initializer.kind is {}; here 1 to {} are possible", what, initializer.kind, last);
  }
  if (!std::isfinite(initializer.a) || !std::isfinite(initializer.b)) fail<PluginError>("{}: initializer.a or .b is not finite", what);
  InitializerSpec result;
  result.kind = static_cast<InitializerSpec::Kind>(initializer.kind - RH_INIT_CONSTANT);
  result.a = initializer.a;
  result.b = initializer.b;
  return result;
}

rh_feature dense_feature(const FeatureInfo& info) {
  rh_feature feature{};
  feature.struct_size = sizeof(feature);
  feature.kind = RH_FEATURE_DENSE;
  feature.name = to_abi(info.name);
  feature.entity = to_abi(info.entity);
  feature.is_key = info.is_key ? 1 : 0;
  return feature;
}

rh_feature sparse_feature(const FeatureInfo& info, std::int64_t rows) {
  rh_feature feature = dense_feature(info);
  feature.kind = RH_FEATURE_SPARSE;
  feature.table = to_abi(info.table);
  feature.rows = rows;
  feature.max_length = info.max_length;
  feature.pooling = static_cast<std::uint32_t>(info.pooling);
  return feature;
}

std::optional<std::uint32_t> position_of(const std::vector<std::string>& names, std::string_view name) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) return std::nullopt;
  return static_cast<std::uint32_t>(found - names.begin());
}

/// Throws unless the spec that the plugin handed over is there and reaches up to its last field of this major's first minor.
#define RECHOST_CHECK_SPEC(spec, last_field, function)                                                        \
  do {                                                                                                        \
    if ((spec) == nullptr) fail<PluginError>(function ": the spec is null");                                  \
    if (!RH_HAS(spec, last_field)) {                                                                          \
      fail<PluginError>(function ": struct_size {} ends before the field " #last_field, (spec)->struct_size); \
    }                                                                                                         \
  } while (false)

}  // namespace

static_assert(static_cast<std::uint32_t>(FeatureInfo::Pooling::kNone) == RH_POOLING_NONE);
static_assert(static_cast<std::uint32_t>(FeatureInfo::Pooling::kSum) == RH_POOLING_SUM);
static_assert(static_cast<std::uint32_t>(FeatureInfo::Pooling::kMean) == RH_POOLING_MEAN);
static_assert(static_cast<std::uint32_t>(LabelKind::kBinary) + 1 == RH_LABEL_BINARY);
static_assert(static_cast<std::uint32_t>(LabelKind::kMulticlass) + 1 == RH_LABEL_MULTICLASS);
static_assert(static_cast<std::uint32_t>(InitializerSpec::Kind::kPlugin) + 1 == RH_INIT_PLUGIN);
static_assert(static_cast<std::uint32_t>(ModelSpec::Head::Kind::kScore) + 1 == RH_HEAD_SCORE);

template <typename Body>
rh_error* ModelDeclaration::record(const rh_spec_builder* builder, Body&& body) {
  auto* declaration = static_cast<ModelDeclaration*>(builder->context);
  try {
    if (!declaration->open_) fail<PluginError>("the spec builder was used after declare had returned");
    body(*declaration);
    return nullptr;
  } catch (const std::exception& error) {
    // Kept here too: a plugin that drops the error must not go on with half a declaration.
    if (declaration->problem_.empty()) declaration->problem_ = error.what();
    return new_error(RH_ERROR_FAILED, error.what());
  }
}

ModelDeclaration::ModelDeclaration(const BatchSchema& schema, std::span<const std::int64_t> table_rows)
    : schema_(schema), table_rows_(table_rows.begin(), table_rows.end()) {
  if (table_rows_.size() != schema.sparse.size()) {
    fail("{} sparse features, but rows of {} tables", schema.sparse.size(), table_rows_.size());
  }
  for (const FeatureInfo& info : schema_.dense) {
    dense_names_.push_back(info.name);
    features_.push_back(dense_feature(info));
  }
  for (std::size_t i = 0; i < schema_.sparse.size(); ++i) {
    sparse_names_.push_back(schema_.sparse[i].name);
    features_.push_back(sparse_feature(schema_.sparse[i], table_rows_[i]));
  }
  for (const LabelInfo& info : schema_.labels) {
    label_names_.push_back(info.name);
    rh_label label{};
    label.struct_size = sizeof(label);
    label.kind = static_cast<std::uint32_t>(info.kind) + RH_LABEL_BINARY;
    label.name = to_abi(info.name);
    label.classes = info.classes;
    labels_.push_back(label);
  }
  abi_schema_ = {.struct_size = sizeof(rh_data_schema),
                 .feature_stride = sizeof(rh_feature),
                 .features = features_.data(),
                 .feature_count = static_cast<std::uint32_t>(features_.size()),
                 .label_count = static_cast<std::uint32_t>(labels_.size()),
                 .labels = labels_.data(),
                 .label_stride = sizeof(rh_label),
                 .reserved = 0};

  builder_.struct_size = sizeof(builder_);
  builder_.context = this;
  builder_.add_dense_features = [](const rh_spec_builder* builder, std::uint32_t group, const rh_string* names, std::uint32_t count) {
    return record(builder, [&](ModelDeclaration& self) {
      if (names == nullptr && count > 0) fail<PluginError>("add_dense_features: names is null");
      self.add_dense_features(group, {names, count});
    });
  };
  builder_.add_table = [](const rh_spec_builder* builder, const rh_table_spec* table, std::uint32_t* index) {
    return record(builder, [&](ModelDeclaration& self) {
      RECHOST_CHECK_SPEC(table, initializer, "add_table");
      self.add_table(*table);
      if (index != nullptr) *index = static_cast<std::uint32_t>(self.spec_.tables.size() - 1);
    });
  };
  builder_.add_embedding = [](const rh_spec_builder* builder, const rh_embedding_spec* embedding, std::uint32_t* index) {
    return record(builder, [&](ModelDeclaration& self) {
      RECHOST_CHECK_SPEC(embedding, pooling, "add_embedding");
      self.add_embedding(*embedding);
      if (index != nullptr) *index = static_cast<std::uint32_t>(self.spec_.embeddings.size() - 1);
    });
  };
  builder_.add_parameter = [](const rh_spec_builder* builder, const rh_parameter_spec* parameter, std::uint32_t* index) {
    return record(builder, [&](ModelDeclaration& self) {
      RECHOST_CHECK_SPEC(parameter, decay, "add_parameter");
      self.add_parameter(*parameter, false);
      if (index != nullptr) *index = static_cast<std::uint32_t>(self.spec_.parameters.size() - 1);
    });
  };
  builder_.add_buffer = [](const rh_spec_builder* builder, const rh_parameter_spec* buffer, std::uint32_t* index) {
    return record(builder, [&](ModelDeclaration& self) {
      RECHOST_CHECK_SPEC(buffer, decay, "add_buffer");
      self.add_parameter(*buffer, true);
      if (index != nullptr) *index = static_cast<std::uint32_t>(self.spec_.buffers.size() - 1);
    });
  };
  builder_.add_head = [](const rh_spec_builder* builder, const rh_head_spec* head, std::uint32_t* index) {
    return record(builder, [&](ModelDeclaration& self) {
      RECHOST_CHECK_SPEC(head, similarity, "add_head");
      self.add_head(*head);
      if (index != nullptr) *index = static_cast<std::uint32_t>(self.spec_.heads.size() - 1);
    });
  };
  builder_.request_negatives = [](const rh_spec_builder* builder, const rh_negatives_spec* negatives) {
    return record(builder, [&](ModelDeclaration& self) {
      RECHOST_CHECK_SPEC(negatives, power, "request_negatives");
      self.request_negatives(*negatives);
    });
  };
  builder_.request_entity_index = [](const rh_spec_builder* builder, rh_string entity) {
    return record(builder, [&](ModelDeclaration& self) { self.request_entity_index(to_view(entity, "request_entity_index: entity")); });
  };
}

void ModelDeclaration::add_dense_features(std::uint32_t group, std::span<const rh_string> names) {
  const auto which = static_cast<std::size_t>(read_group(group, "add_dense_features"));
  std::vector<std::uint32_t>& columns = spec_.groups[which].dense;
  if (!columns.empty()) fail<PluginError>("add_dense_features: called twice for group {}", group);
  for (const rh_string& name : names) {
    const std::string feature = read_name(name, "add_dense_features");
    const auto position = position_of(dense_names_, feature);
    if (!position) {
      fail<PluginError>("add_dense_features: the data has no dense feature \"{}\"{}", feature, suggestion(feature, dense_names_));
    }
    if (std::find(columns.begin(), columns.end(), *position) != columns.end()) {
      fail<PluginError>("add_dense_features: \"{}\" is named twice", feature);
    }
    columns.push_back(*position);
  }
}

void ModelDeclaration::add_table(const rh_table_spec& table) {
  ModelSpec::Table result;
  result.name = read_name(table.name, "add_table");
  check_new(spec_.tables, result.name, "add_table");
  const std::string what = fmt::format("add_table \"{}\"", result.name);
  if (table.rows < 0) fail<PluginError>("{}: rows is {}", what, table.rows);
  if (table.dim < 1) fail<PluginError>("{}: dim is {}", what, table.dim);
  result.rows = table.rows;
  result.dim = table.dim;
  result.initializer = read_initializer(table.initializer, false, what);
  spec_.tables.push_back(std::move(result));
}

void ModelDeclaration::add_embedding(const rh_embedding_spec& embedding) {
  ModelSpec::Embedding result;
  result.group = read_group(embedding.group, "add_embedding");
  result.feature = read_name(embedding.feature, "add_embedding");
  const auto sparse = position_of(sparse_names_, result.feature);
  if (!sparse) {
    fail<PluginError>("add_embedding: the data has no sparse feature \"{}\"{}", result.feature, suggestion(result.feature, sparse_names_));
  }
  const std::string what = fmt::format("add_embedding \"{}\"", result.feature);
  if (embedding.table >= spec_.tables.size()) {
    fail<PluginError>("{}: table {}; {} were declared", what, embedding.table, spec_.tables.size());
  }
  if (embedding.pooling > RH_POOLING_MEAN) fail<PluginError>("{}: pooling is {}; it is 0 to {}", what, embedding.pooling, RH_POOLING_MEAN);
  const ModelSpec::Table& table = spec_.tables[embedding.table];
  if (table.rows != 0 && table.rows < table_rows_[*sparse]) {
    fail<PluginError>("{}: table \"{}\" has {} rows, the feature needs {}", what, table.name, table.rows, table_rows_[*sparse]);
  }
  result.sparse = *sparse;
  result.table = embedding.table;
  result.pooling = static_cast<FeatureInfo::Pooling>(embedding.pooling);
  spec_.embeddings.push_back(std::move(result));
}

void ModelDeclaration::add_parameter(const rh_parameter_spec& parameter, bool is_buffer) {
  const std::string function = is_buffer ? "add_buffer" : "add_parameter";
  ModelSpec::Parameter result;
  result.name = read_name(parameter.name, function);
  // Both kinds stand in one file of the checkpoint.
  check_new(spec_.parameters, result.name, function);
  check_new(spec_.buffers, result.name, function);
  const std::string what = fmt::format("{} \"{}\"", function, result.name);
  if (parameter.ndim > kMostDimensions)
    fail<PluginError>("{}: {} dimensions; at most {} are possible", what, parameter.ndim, kMostDimensions);
  if (parameter.ndim > 0 && parameter.shape == nullptr) fail<PluginError>("{}: shape is null", what);
  for (std::uint32_t i = 0; i < parameter.ndim; ++i) {
    const std::int64_t extent = parameter.shape[i];
    if (extent < 1 || extent > kMostElements / result.size) fail<PluginError>("{}: shape[{}] is {}", what, i, extent);
    result.shape.push_back(extent);
    result.size *= extent;
  }
  result.initializer = read_initializer(parameter.initializer, true, what);
  result.decay = parameter.decay != 0;
  (is_buffer ? spec_.buffers : spec_.parameters).push_back(std::move(result));
}

std::optional<std::uint32_t> ModelDeclaration::read_label(const rh_head_spec& head, const std::string& name) {
  const std::string what = fmt::format("add_head \"{}\"", name);
  const std::string label(to_view(head.label, what + ": label"));
  const bool needed = head.kind >= RH_HEAD_BINARY && head.kind <= RH_HEAD_MULTILABEL;
  if (label.empty()) {
    if (needed) fail<PluginError>("{}: label is empty", what);
    return std::nullopt;
  }
  const auto position = position_of(label_names_, label);
  if (!position) fail<PluginError>("{}: the data has no label \"{}\"{}", what, label, suggestion(label, label_names_));
  const LabelInfo& info = schema_.labels[*position];
  if (head.kind == RH_HEAD_BINARY && info.kind != LabelKind::kBinary) {
    fail<PluginError>("{}: the head is binary, the label \"{}\" is not", what, label);
  }
  if (head.kind == RH_HEAD_MULTICLASS && (info.kind != LabelKind::kMulticlass || info.classes != head.size)) {
    fail<PluginError>("{}: the head has {} classes, the label \"{}\" has {}", what, head.size, label, info.classes);
  }
  if (head.kind == RH_HEAD_MULTILABEL && head.size > static_cast<std::int64_t>(label_names_.size() - *position)) {
    fail<PluginError>("{}: {} labels from \"{}\" on; there are {}", what, head.size, label, label_names_.size() - *position);
  }
  return position;
}

void ModelDeclaration::add_head(const rh_head_spec& head) {
  ModelSpec::Head result;
  result.name = read_name(head.name, "add_head");
  check_new(spec_.heads, result.name, "add_head");
  const std::string what = fmt::format("add_head \"{}\"", result.name);
  if (spec_.heads.size() == kMostHeads) fail<PluginError>("{}: more than {} heads", what, kMostHeads);
  if (head.kind < RH_HEAD_BINARY || head.kind > RH_HEAD_SCORE)
    fail<PluginError>("{}: kind is {}; it is 1 to {}", what, head.kind, RH_HEAD_SCORE);
  result.kind = static_cast<ModelSpec::Head::Kind>(head.kind - RH_HEAD_BINARY);
  const bool is_vector = head.kind == RH_HEAD_MULTICLASS || head.kind == RH_HEAD_MULTILABEL || head.kind == RH_HEAD_EMBEDDING;
  const std::int64_t least = head.kind == RH_HEAD_MULTICLASS ? 2 : 1;
  if (head.size < least || (!is_vector && head.size != 1)) fail<PluginError>("{}: size is {}", what, head.size);
  result.size = head.size;
  if (!std::isfinite(head.weight) || head.weight < 0.0) fail<PluginError>("{}: weight is {}", what, head.weight);
  result.weight = head.weight;
  result.label = read_label(head, result.name);
  result.entity = to_view(head.entity, what + ": entity");
  if (result.kind == ModelSpec::Head::Kind::kEmbedding) {
    if (result.entity.empty()) fail<PluginError>("{}: entity is empty", what);
    if (head.similarity < 1 || head.similarity > 2)
      fail<PluginError>("{}: similarity is {}; it is 1 (dot) or 2 (cosine)", what, head.similarity);
    result.cosine = head.similarity == 2;
  }
  spec_.heads.push_back(std::move(result));
}

void ModelDeclaration::check_entity(std::string_view entity, std::string_view function) const {
  const bool known = std::any_of(schema_.sparse.begin(), schema_.sparse.end(),
                                 [&](const FeatureInfo& info) { return info.is_key && info.entity == entity; });
  if (!known) fail<PluginError>("{}: the data has no key feature of the entity \"{}\"", function, entity);
}

void ModelDeclaration::request_negatives(const rh_negatives_spec& negatives) {
  if (spec_.negatives) fail<PluginError>("request_negatives: called twice");
  ModelSpec::Negatives result;
  if (negatives.distribution < RH_NEGATIVES_UNIFORM || negatives.distribution > RH_NEGATIVES_FREQUENCY) {
    fail<PluginError>("request_negatives: distribution is {}; it is 1 or 2", negatives.distribution);
  }
  result.distribution = static_cast<ModelSpec::Negatives::Distribution>(negatives.distribution - RH_NEGATIVES_UNIFORM);
  result.entity = to_view(negatives.entity, "request_negatives: entity");
  check_entity(result.entity, "request_negatives");
  if (negatives.per_sample < 0 || negatives.per_batch < 0 || (negatives.per_sample > 0) == (negatives.per_batch > 0)) {
    fail<PluginError>("request_negatives: per_sample is {}, per_batch is {}; exactly one must be positive", negatives.per_sample,
                      negatives.per_batch);
  }
  if (!std::isfinite(negatives.power)) fail<PluginError>("request_negatives: power is not finite");
  result.per_sample = negatives.per_sample;
  result.per_batch = negatives.per_batch;
  result.power = negatives.power;
  spec_.negatives = std::move(result);
}

void ModelDeclaration::request_entity_index(std::string_view entity) {
  check_entity(entity, "request_entity_index");
  if (!position_of(spec_.indexed_entities, entity)) spec_.indexed_entities.emplace_back(entity);
}

void ModelDeclaration::check_negatives() const {
  const auto check = [&](const FeatureInfo& info) {
    if (!spec_.negatives) fail<PluginError>("\"{}\" is read for negatives, but request_negatives was not called", info.name);
    if (info.entity != spec_.negatives->entity) {
      fail<PluginError>("\"{}\" is read for negatives of the entity \"{}\", but describes \"{}\"", info.name, spec_.negatives->entity,
                        info.entity);
    }
  };
  for (const std::uint32_t column : spec_.group(InputGroup::kNegatives).dense) check(schema_.dense[column]);
  for (const ModelSpec::Embedding& embedding : spec_.embeddings) {
    if (embedding.group == InputGroup::kNegatives) check(schema_.sparse[embedding.sparse]);
  }
}

void ModelDeclaration::lay_out_blocks() {
  for (std::uint32_t index = 0; index < spec_.embeddings.size(); ++index) {
    ModelSpec::Embedding& embedding = spec_.embeddings[index];
    std::vector<ModelSpec::Block>& blocks = spec_.groups[static_cast<std::size_t>(embedding.group)].blocks;
    const bool sequence = embedding.pooling == FeatureInfo::Pooling::kNone;
    const std::int64_t dim = spec_.tables[embedding.table].dim;
    auto block =
        sequence ? blocks.end()
                 : std::find_if(blocks.begin(), blocks.end(), [&](const ModelSpec::Block& one) { return !one.sequence && one.dim == dim; });
    if (block == blocks.end()) block = blocks.insert(blocks.end(), ModelSpec::Block{.sequence = sequence, .dim = dim, .embeddings = {}});
    embedding.block = static_cast<std::uint32_t>(block - blocks.begin());
    embedding.slot = static_cast<std::uint32_t>(block->embeddings.size());
    block->embeddings.push_back(index);
  }
}

ModelSpec ModelDeclaration::finish() {
  open_ = false;
  if (spec_.heads.empty()) fail<PluginError>("declare added no head");
  for (std::size_t i = 0; i < spec_.tables.size(); ++i) {
    const bool read = std::any_of(spec_.embeddings.begin(), spec_.embeddings.end(), [&](const auto& one) { return one.table == i; });
    if (!read) fail<PluginError>("no embedding reads the table \"{}\"", spec_.tables[i].name);
  }
  check_negatives();
  lay_out_blocks();
  return spec_;
}

}  // namespace rechost
