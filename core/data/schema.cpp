#include "data/schema.h"

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/nearest_name.h"
#include "data/feature_column.h"

namespace rechost {
namespace {

using Target = ColumnEncoding::Target;

std::optional<Target> target_of(const ColumnInfo& column, const FeatureSection& section) {
  if (section.kind == "ignore") return std::nullopt;
  if (section.kind == "dense") return Target::kDense;
  if (section.kind == "sparse") return Target::kSparse;
  switch (column.role) {
    case ColumnRole::kDense: return Target::kDense;
    case ColumnRole::kSparse: return Target::kSparse;
    case ColumnRole::kLabel: return Target::kLabel;
    case ColumnRole::kWeight: return Target::kWeight;
    case ColumnRole::kCandidates: return Target::kCandidates;
    case ColumnRole::kId:
    case ColumnRole::kTime: break;
  }
  return std::nullopt;
}

bool is_float(ValueType type) { return type == ValueType::kFloat32 || type == ValueType::kFloat64; }

EncoderKind encoder_of(const ColumnInfo& column, const FeatureSection& section) {
  if (section.encoder == "hash") return EncoderKind::kHash;
  if (section.encoder == "bucket") return EncoderKind::kBucket;
  if (section.encoder == "dynamic") return EncoderKind::kDynamic;
  if (section.encoder == "vocabulary") return EncoderKind::kVocabulary;
  if (section.encoder == "identity" || column.cardinality) return EncoderKind::kIdentity;
  return EncoderKind::kVocabulary;
}

FeatureInfo::Pooling pooling_of(const FeatureSection& section, bool is_list) {
  if (section.pooling == "sum") return FeatureInfo::Pooling::kSum;
  if (section.pooling == "mean") return FeatureInfo::Pooling::kMean;
  if (section.pooling == "none") return FeatureInfo::Pooling::kNone;
  return is_list && section.weights.empty() ? FeatureInfo::Pooling::kMean : FeatureInfo::Pooling::kSum;
}

/// Gathers the tables while features come in. The feature that is named like its table speaks for it; others may leave a setting at its
/// default or say the same.
class TableList {
 public:
  std::size_t add(const ColumnInfo& column, const FeatureSection& section, bool can_be_missing) {
    TableEncoding wanted;
    wanted.name = section.table.empty() ? column.name : section.table;
    wanted.encoder = encoder_of(column, section);
    wanted.values = column.type == ValueType::kString ? ValueKind::kString : ValueKind::kInteger;
    wanted.cardinality = wanted.encoder == EncoderKind::kIdentity ? column.cardinality.value_or(0) : 0;
    wanted.hash_rows = section.hash_rows;
    wanted.hashes = section.hashes;
    wanted.salt = section.salt;
    wanted.boundaries = section.boundaries;
    wanted.buckets = section.buckets;
    wanted.min_count = section.min_count;
    wanted.max_rows = section.max_rows;
    wanted.admit_probability = section.admit_probability;
    wanted.evict = section.evict == "frequency" ? EvictionRule::kFrequency : EvictionRule::kAge;
    wanted.max_age_steps = section.max_age_steps;
    wanted.half_life_steps = section.half_life_steps;
    wanted.memory_bytes = static_cast<std::int64_t>(section.memory_gib * static_cast<double>(std::int64_t{1} << 30));
    wanted.can_be_missing = can_be_missing;
    check_alone(column, section, wanted);

    const auto place = place_.find(wanted.name);
    if (place == place_.end()) {
      place_[wanted.name] = tables_.size();
      tables_.push_back(wanted);
      speaker_.push_back(column.name);
      return tables_.size() - 1;
    }
    join(place->second, column, wanted);
    return place->second;
  }

  std::vector<TableEncoding> take() { return std::move(tables_); }

 private:
  static std::string text(std::int64_t value) { return std::to_string(value); }
  static std::string text(double value) { return fmt::format("{}", value); }
  static std::string text(EvictionRule value) { return eviction_name(value); }
  static std::string text(const std::string& value) { return value; }
  static std::string text(const std::vector<double>& value) { return fmt::format("[{}]", fmt::join(value, ", ")); }

  static void check_alone(const ColumnInfo& column, const FeatureSection& section, const TableEncoding& wanted) {
    const std::string& name = column.name;
    if (wanted.encoder == EncoderKind::kIdentity) {
      if (wanted.values == ValueKind::kString) {
        fail<ConfigError>("features.{}.encoder = \"identity\": its values are strings; use \"vocabulary\" or \"hash\"", name);
      }
      if (!column.cardinality) {
        fail<ConfigError>("features.{}.encoder = \"identity\": the loader does not say how many ids there are; set cardinality, or use \"vocabulary\" "
                          "or \"hash\"",
                          name);
      }
      if (*column.cardinality < 1) fail<DataError>("feature \"{}\": the loader announces {} ids", name, *column.cardinality);
    }
    if (wanted.encoder == EncoderKind::kHash && wanted.hash_rows < 1) {
      fail<ConfigError>("features.{}.encoder = \"hash\" needs hash_rows, the number of rows of its table", name);
    }
    if (wanted.encoder != EncoderKind::kHash && section.hash_rows > 0) {
      fail<ConfigError>("features.{}.hash_rows = {} has no effect with encoder = \"{}\"; set encoder = \"hash\" or leave it out", name,
                        section.hash_rows, encoder_name(wanted.encoder));
    }
    const bool counts = wanted.encoder == EncoderKind::kVocabulary || wanted.encoder == EncoderKind::kDynamic;
    if (!counts && (section.min_count > 1 || section.max_rows > 0)) {
      fail<ConfigError>("features.{}: min_count and max_rows have no effect with encoder = \"{}\"; set encoder = \"vocabulary\" or \"dynamic\"", name,
                        encoder_name(wanted.encoder));
    }
    if (wanted.encoder == EncoderKind::kDynamic) {
      check_dynamic(name, section);
    } else if (const char* const key = dynamic_key(section); key != nullptr) {
      fail<ConfigError>("features.{}.{} has no effect with encoder = \"{}\"; set encoder = \"dynamic\", or leave it out", name, key, encoder_name(wanted.encoder));
    }
  }

  static void check_dynamic(const std::string& name, const FeatureSection& section) {
    if (section.max_rows < 1 && section.memory_gib <= 0.0) {
      fail<ConfigError>("features.{}.encoder = \"dynamic\" needs max_rows, the number of keys that have a row at one time, or memory_gib, what those may take", name);
    }
    if (section.max_rows > 0 && section.memory_gib > 0.0) {
      fail<ConfigError>("features.{}: max_rows = {} and memory_gib = {} both say how many keys have a row at one time; leave one of them out", name, section.max_rows,
                        section.memory_gib);
    }
    if (section.admit_probability <= 0.0) {
      fail<ConfigError>("features.{}.admit_probability = {}: no key would ever have a row; it must be above 0", name, section.admit_probability);
    }
    if (section.half_life_steps > 0 && section.evict != "frequency" && section.min_count <= 1) {
      fail<ConfigError>("features.{}.half_life_steps = {} has no effect: nothing looks at the counts of keys. Set evict = \"frequency\" or min_count, or leave it out", name,
                        section.half_life_steps);
    }
  }

  void join(std::size_t place, const ColumnInfo& column, const TableEncoding& wanted) {
    TableEncoding& table = tables_[place];
    std::string& speaker = speaker_[place];
    const auto disagree = [&](const char* what) {
      fail<ConfigError>("features \"{}\" and \"{}\" share table \"{}\" but not {}", speaker, column.name, table.name, what);
    };
    if (table.encoder != wanted.encoder) {
      disagree(fmt::format("its encoder ({} and {}); set the same for both", encoder_name(table.encoder), encoder_name(wanted.encoder)).c_str());
    }
    if (table.values != wanted.values) disagree("the type of values (integers and strings)");
    const bool takes_over = column.name == table.name;
    const auto settle = [&]<typename Value>(Value& value, const Value& other, const Value& unset, const char* key) {
      if (other == unset || other == value) return;
      if (value != unset && !takes_over) disagree(fmt::format("{} ({} and {}); set the same for both", key, text(value), text(other)).c_str());
      value = other;
    };
    settle(table.hash_rows, wanted.hash_rows, std::int64_t{0}, "hash_rows");
    settle(table.salt, wanted.salt, std::string{}, "salt");
    settle(table.min_count, wanted.min_count, std::int64_t{1}, "min_count");
    settle(table.max_rows, wanted.max_rows, std::int64_t{0}, "max_rows");
    settle(table.admit_probability, wanted.admit_probability, 1.0, "admit_probability");
    settle(table.evict, wanted.evict, EvictionRule::kAge, "evict");
    settle(table.max_age_steps, wanted.max_age_steps, std::int64_t{0}, "max_age_steps");
    settle(table.half_life_steps, wanted.half_life_steps, std::int64_t{0}, "half_life_steps");
    settle(table.memory_bytes, wanted.memory_bytes, std::int64_t{0}, "memory_gib, in bytes,");
    settle(table.boundaries, wanted.boundaries, std::vector<double>{}, "boundaries");
    settle(table.buckets, wanted.buckets, std::int64_t{0}, "buckets");
    if (table.max_rows > 0 && table.memory_bytes > 0) disagree("how many keys have a row at one time (max_rows and memory_gib); set one of them for both");
    // Not settled: how many rows a value has belongs to the feature as well.
    if (table.hashes != wanted.hashes) disagree(fmt::format("hashes ({} and {}); set the same for both", table.hashes, wanted.hashes).c_str());
    if (!table.boundaries.empty() && table.buckets > 0) disagree("how boundaries are found; give both features boundaries, or both buckets");
    table.cardinality = std::max(table.cardinality, wanted.cardinality);
    table.can_be_missing = table.can_be_missing || wanted.can_be_missing;
    if (takes_over) speaker = column.name;
  }

  std::vector<TableEncoding> tables_;
  std::vector<std::string> speaker_;
  std::map<std::string, std::size_t> place_;
};

void check_numbers(const ColumnInfo& column, const char* use, const char* remedy) {
  if (column.is_list) fail<ConfigError>("column \"{}\" is a list and cannot be {}{}", column.name, use, remedy);
  if (column.type == ValueType::kString) fail<ConfigError>("column \"{}\" holds strings and cannot be {}{}", column.name, use, remedy);
}

void add_dense(const FeatureColumn& from, EncodingPlan& plan, ColumnEncoding& encoding) {
  const ColumnInfo& column = from.info;
  const FeatureSection& section = from.section;
  check_dense_keys(from);
  check_numbers(column, "a dense feature", "; set features.<name>.kind = \"sparse\" or \"ignore\"");
  encoding.position = plan.schema.dense.size();
  encoding.log1p = section.transform == "log1p";
  encoding.default_value = static_cast<float>(section.default_value);
  encoding.scaling.kind = DenseScaling::parse(section.scale);
  if (encoding.scaling.kind != DenseScaling::Kind::kNone) {
    encoding.scaled_default = std::exchange(encoding.default_value, std::numeric_limits<float>::quiet_NaN());
  }
  FeatureInfo feature;
  feature.name = column.name;
  feature.kind = FeatureInfo::Kind::kDense;
  feature.entity = section.entity.empty() ? column.entity : section.entity;
  plan.schema.dense.push_back(std::move(feature));
}

void add_sparse(const FeatureColumn& from, TableList& tables, EncodingPlan& plan, ColumnEncoding& encoding) {
  const ColumnInfo& column = from.info;
  const FeatureSection& section = from.section;
  check_sparse_keys(from);
  if (is_float(column.type)) {
    fail<ConfigError>("column \"{}\" holds fractions and cannot be a sparse feature; set features.{}.kind = \"dense\" or \"ignore\"",
                      column.name, column.name);
  }
  encoding.position = plan.schema.sparse.size();
  encoding.max_length = column.is_list ? section.max_length : 1;
  encoding.keep_first = section.keep == "first";
  encoding.padding = section.padding == "front"  ? ColumnEncoding::Padding::kFront
                     : section.padding == "back" ? ColumnEncoding::Padding::kBack
                                                 : ColumnEncoding::Padding::kNone;
  const bool dynamic = section.encoder == "dynamic";
  encoding.ids_per_value = dynamic ? kIdsPerKey : section.hashes;
  const bool single_of_list = column.is_list && encoding.max_length == 1;
  const bool can_be_missing = (column.nullable || single_of_list) && !encoding.missing_fails;
  encoding.table = tables.add(column, section, can_be_missing);

  FeatureInfo feature;
  feature.name = column.name;
  feature.kind = FeatureInfo::Kind::kSparse;
  feature.entity = section.entity.empty() ? column.entity : section.entity;
  feature.is_key = column.is_key;
  feature.table = section.table.empty() ? column.name : section.table;
  const bool is_list = column.is_list && !single_of_list;
  feature.dynamic = dynamic;
  feature.is_list = is_list || section.hashes > 1;
  encoding.single_key = dynamic && !feature.is_list;
  feature.max_length = encoding.max_length * section.hashes;
  feature.pooling = pooling_of(section, is_list);
  feature.weights = section.weights;
  if (section.hashes > 1 && feature.pooling == FeatureInfo::Pooling::kNone) {
    fail<ConfigError>("features.{}: with hashes = {} the rows of a value are pooled; pooling = \"none\" would take them for a sequence", column.name,
                      section.hashes);
  }
  plan.schema.sparse.push_back(std::move(feature));
}

/// Names of the columns that features have as weights of their ids.
std::set<std::string> columns_of_weights(const std::vector<FeatureColumn>& features) {
  std::set<std::string> columns;
  std::vector<std::string> names;
  for (const FeatureColumn& feature : features) names.push_back(feature.info.name);
  for (const FeatureColumn& feature : features) {
    const std::string& wanted = feature.section.weights;
    const std::string& name = feature.info.name;
    if (wanted.empty() || !target_of(feature.info, feature.section)) continue;
    const auto found = std::find(names.begin(), names.end(), wanted);
    if (found == names.end()) fail<ConfigError>("features.{}.weights = \"{}\": the loader has no such column{}", name, wanted, suggestion(wanted, names));
    const FeatureColumn& column = features[static_cast<std::size_t>(found - names.begin())];
    if (!column.info.is_list || column.info.type == ValueType::kString || !column.derivation.empty()) {
      fail<ConfigError>("features.{}.weights = \"{}\": that column does not hold lists of numbers", name, wanted);
    }
    if (!column.section.weights.empty() || !column.section.kind.empty()) {
      fail<ConfigError>("features.{}: the column has the weights of \"{}\" and is no feature; leave its own kind and weights out", wanted, name);
    }
    columns.insert(wanted);
  }
  return columns;
}

void add_label(const ColumnInfo& column, EncodingPlan& plan, ColumnEncoding& encoding) {
  check_numbers(column, "a label", "");
  encoding.position = plan.schema.labels.size();
  LabelInfo label;
  label.name = column.name;
  label.kind = column.label_kind;
  label.classes = column.label_kind == LabelKind::kMulticlass ? column.cardinality.value_or(0)
                  : column.label_kind == LabelKind::kBinary   ? 2
                                                              : 1;
  plan.schema.labels.push_back(std::move(label));
}

void connect_candidates(const ColumnInfo& column, EncodingPlan& plan, ColumnEncoding& encoding) {
  const std::string entity = column.entity.empty() ? "item" : column.entity;
  for (const FeatureInfo& feature : plan.schema.sparse) {
    if (!feature.is_key || feature.entity != entity) continue;
    plan.schema.has_candidates = true;
    plan.schema.candidates_table = feature.table;
    for (std::size_t table = 0; table < plan.tables.size(); ++table) {
      if (plan.tables[table].name != feature.table) continue;
      encoding.table = table;
      const bool strings = column.type == ValueType::kString;
      if (strings != (plan.tables[table].values == ValueKind::kString)) {
        fail<ConfigError>("column \"{}\" lists candidates for \"{}\" in another type of values", column.name, feature.name);
      }
      encoding.cardinality = plan.tables[table].cardinality;
      if (plan.tables[table].encoder == EncoderKind::kDynamic) encoding.ids_per_value = kIdsPerKey;
    }
    return;
  }
  fail<ConfigError>("column \"{}\" lists candidates, but no sparse feature is the key of \"{}\"; set features.{}.kind = \"ignore\"",
                    column.name, entity, column.name);
}

}  // namespace

EncodingPlan resolve_schema(std::span<const ColumnInfo> columns, const FeatureSettings& settings, std::span<const std::string> derived) {
  EncodingPlan plan;
  TableList tables;
  const std::vector<FeatureColumn> features = feature_columns(columns, settings, derived);
  const std::set<std::string> weights = columns_of_weights(features);
  std::vector<const ColumnInfo*> candidates;
  for (const FeatureColumn& feature : features) {
    const ColumnInfo& column = feature.info;
    const FeatureSection& section = feature.section;
    const std::optional<Target> target = weights.contains(column.name) ? Target::kIdWeights : target_of(column, section);
    if (!target) continue;

    ColumnEncoding encoding;
    encoding.name = column.name;
    encoding.source = feature.source;
    encoding.source_is_string = feature.source_is_string;
    encoding.derivation = feature.derivation;
    encoding.target = *target;
    encoding.missing_fails = section.missing == "fail";
    encoding.source_is_list = column.is_list;
    encoding.cardinality = column.cardinality.value_or(0);
    switch (*target) {
      case Target::kDense:
        add_dense(feature, plan, encoding);
        break;
      case Target::kSparse:
        add_sparse(feature, tables, plan, encoding);
        break;
      case Target::kLabel:
        add_label(column, plan, encoding);
        break;
      case Target::kWeight:
        check_numbers(column, "a weight", "; set features.<name>.kind = \"ignore\"");
        if (plan.schema.has_weight) fail<ConfigError>("column \"{}\" is a second weight; ignore one of them", column.name);
        plan.schema.has_weight = true;
        break;
      case Target::kCandidates:
        if (!candidates.empty()) fail<ConfigError>("column \"{}\" is a second list of candidates; ignore one of them", column.name);
        candidates.push_back(&column);
        break;
      case Target::kIdWeights:
        break;
    }
    plan.columns.push_back(std::move(encoding));
  }
  plan.tables = tables.take();
  for (ColumnEncoding& encoding : plan.columns) {
    if (encoding.target != Target::kSparse) continue;
    const std::string& wanted = plan.schema.sparse[encoding.position].weights;
    for (std::size_t i = 0; i < plan.columns.size() && !wanted.empty(); ++i) {
      if (plan.columns[i].name == wanted) encoding.weights = i;
    }
  }
  for (const ColumnInfo* column : candidates) {
    for (ColumnEncoding& encoding : plan.columns) {
      if (encoding.target == Target::kCandidates) connect_candidates(*column, plan, encoding);
    }
  }
  if (plan.schema.dense.empty() && plan.schema.sparse.empty()) {
    fail<ConfigError>("no feature is left: the loader has {} columns, all of them labels, ids or ignored", columns.size());
  }
  return plan;
}

std::vector<std::int64_t> locate_columns(const EncodingPlan& plan, std::span<const ColumnInfo> columns, bool labels_required) {
  std::vector<std::int64_t> positions;
  std::vector<std::string> names;
  for (const ColumnInfo& column : columns) names.push_back(column.name);
  for (const ColumnEncoding& encoding : plan.columns) {
    const auto found = std::find(names.begin(), names.end(), encoding.source);
    if (found == names.end()) {
      const bool optional = encoding.target == Target::kLabel || encoding.target == Target::kWeight || encoding.target == Target::kCandidates;
      if (!optional || (labels_required && encoding.target == Target::kLabel)) {
        fail<DataError>("column \"{}\" is missing in this data{}; the model was set up with it", encoding.source,
                        suggestion(encoding.source, names));
      }
      positions.push_back(-1);
      continue;
    }
    const ColumnInfo& column = columns[static_cast<std::size_t>(found - names.begin())];
    if (encoding.target == Target::kIdWeights && column.type == ValueType::kString) {
      fail<DataError>("column \"{}\" holds strings here, but the numbers that count ids in the data that the model was set up with", column.name);
    }
    const bool is_sparse = encoding.target == Target::kSparse || encoding.target == Target::kCandidates;
    if (is_sparse || !encoding.derivation.empty()) {
      const bool strings = encoding.source_is_string;
      if (strings != (column.type == ValueType::kString)) {
        fail<DataError>("column \"{}\" holds {} here, but {} in the data that the model was set up with", column.name,
                        strings ? "numbers" : "strings", strings ? "strings" : "numbers");
      }
    }
    if (column.is_list != encoding.source_is_list) {
      fail<DataError>("column \"{}\" is {} here, but {} in the data that the model was set up with", column.name,
                      column.is_list ? "a list" : "no list", encoding.source_is_list ? "a list" : "none");
    }
    positions.push_back(static_cast<std::int64_t>(found - names.begin()));
  }
  return positions;
}

}  // namespace rechost
