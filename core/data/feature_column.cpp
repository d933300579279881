#include "data/feature_column.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/nearest_name.h"

namespace rechost {
namespace {

using Extract = Derivation::Extract;

struct ExtractRule {
  const char* name;
  Extract extract;
  std::int64_t values;  ///< 0, 1, ... values - 1; 0: fractions
};

constexpr std::array<ExtractRule, 5> kExtracts{{{"hour_of_day", Extract::kHourOfDay, 24},
                                                {"day_of_week", Extract::kDayOfWeek, 7},
                                                {"day_of_month", Extract::kDayOfMonth, 31},
                                                {"month", Extract::kMonth, 12},
                                                {"age", Extract::kAge, 0}}};

[[noreturn]] void no_effect(const FeatureColumn& column, const char* key, const char* remedy) {
  fail<ConfigError>("features.{}.{} has no effect: {}", column.info.name, key, remedy);
}

void derive_time(FeatureColumn& column) {
  const FeatureSection& section = column.section;
  const std::string& name = column.info.name;
  if (section.extract.empty()) {
    if (!section.time_unit.empty()) no_effect(column, "time_unit", "it is for times; set extract, or leave it out");
    if (!section.since.empty()) no_effect(column, "since", "it is for extract = \"age\"; leave it out");
    return;
  }
  const ExtractRule& rule = *std::find_if(kExtracts.begin(), kExtracts.end(), [&](const ExtractRule& each) { return section.extract == each.name; });
  if (column.info.is_list || column.info.type == ValueType::kBool) {
    fail<ConfigError>("features.{}.extract = \"{}\": column \"{}\" holds {}, not times", name, section.extract, column.source,
                      column.info.is_list ? "lists" : "true and false");
  }
  const bool text = column.info.type == ValueType::kString;
  if (!section.time_unit.empty() && text != (section.time_unit == "text")) {
    fail<ConfigError>("features.{}.time_unit = \"{}\": column \"{}\" holds {}", name, section.time_unit, column.source,
                      text ? "strings; leave it out" : "numbers; set \"seconds\" or \"milliseconds\"");
  }
  Derivation& derivation = column.derivation;
  derivation.extract = rule.extract;
  derivation.unit = text                                  ? Derivation::TimeUnit::kText
                    : section.time_unit == "milliseconds" ? Derivation::TimeUnit::kMilliseconds
                                                          : Derivation::TimeUnit::kSeconds;
  if (rule.extract == Extract::kAge) {
    const std::optional<double> since = parse_time(section.since);
    if (!since) {
      fail<ConfigError>("features.{}.since = \"{}\": extract = \"age\" counts days since a time such as \"2020-01-31\" or \"2020-01-31T12:30:00Z\"",
                        name, section.since);
    }
    derivation.since = *since;
  } else if (!section.since.empty()) {
    no_effect(column, "since", "it is for extract = \"age\"; leave it out");
  }
  column.info.type = rule.values > 0 ? ValueType::kInt64 : ValueType::kFloat32;
  column.info.cardinality = rule.values > 0 ? std::optional<std::int64_t>(rule.values) : std::nullopt;
}

/// What a time becomes when nobody says: ids where there are a few values, a number where there are many.
void choose_role(FeatureColumn& column) {
  const bool buckets = column.section.encoder == "bucket";
  if (!column.section.kind.empty() || (column.section.extract.empty() && !buckets)) return;
  column.section.kind = !buckets && column.derivation.extract == Extract::kAge ? "dense" : "sparse";
}

void derive_number(FeatureColumn& column) {
  const FeatureSection& section = column.section;
  Derivation& derivation = column.derivation;
  if (section.transform == "signed_log") derivation.transform = Derivation::Transform::kSignedLog;
  if (section.transform == "log_square") derivation.transform = Derivation::Transform::kLogSquare;
  if (!section.clip.empty()) {
    if (section.clip.size() != 2 || !(section.clip[0] < section.clip[1])) {
      fail<ConfigError>("features.{}.clip: two numbers are wanted, the least and the most that are left as they are, such as [0, 100]", column.info.name);
    }
    derivation.clipped = true;
    derivation.least = section.clip[0];
    derivation.most = section.clip[1];
  }
}

void derive_buckets(FeatureColumn& column) {
  const FeatureSection& section = column.section;
  const std::string& name = column.info.name;
  if (section.encoder != "bucket") {
    if (!section.boundaries.empty()) no_effect(column, "boundaries", "set encoder = \"bucket\", or leave it out");
    if (section.buckets > 0) no_effect(column, "buckets", "set encoder = \"bucket\", or leave it out");
    return;
  }
  if (section.kind == "dense") fail<ConfigError>("features.{}: encoder = \"bucket\" makes rows of numbers, which a dense feature has not; leave kind out", name);
  if (column.info.type == ValueType::kString) {
    fail<ConfigError>("features.{}.encoder = \"bucket\": column \"{}\" holds strings, not numbers", name, column.source);
  }
  if (section.boundaries.empty() == (section.buckets == 0)) {
    fail<ConfigError>("features.{}.encoder = \"bucket\" needs either boundaries, such as [0, 10, 100], or buckets, the number of equal parts to learn", name);
  }
  if (section.buckets == 1) fail<ConfigError>("features.{}.buckets = 1: one bucket tells nothing; set 2 or more", name);
  for (std::size_t i = 0; i < section.boundaries.size(); ++i) {
    if (std::isfinite(section.boundaries[i]) && (i == 0 || section.boundaries[i - 1] < section.boundaries[i])) continue;
    fail<ConfigError>("features.{}.boundaries must be finite and ascend, but {} comes after {}", name, section.boundaries[i],
                      i == 0 ? "nothing" : fmt::format("{}", section.boundaries[i - 1]));
  }
  column.derivation.order_key = true;
  column.info.type = ValueType::kInt64;
  column.info.cardinality = std::nullopt;
}

/// What the user knows of ids when the loader does not.
void take_cardinality(FeatureColumn& column) {
  const FeatureSection& section = column.section;
  if (section.cardinality == 0) return;
  if (!section.encoder.empty() && section.encoder != "identity") no_effect(column, "cardinality", "set encoder = \"identity\", or leave it out");
  if (!section.extract.empty()) no_effect(column, "cardinality", "what extract gives has its own; leave it out");
  column.info.cardinality = section.cardinality;
}

FeatureColumn feature_column(const ColumnInfo& column, std::string name, FeatureSection section) {
  FeatureColumn made{.info = column, .source = column.name, .source_is_string = column.type == ValueType::kString, .section = std::move(section), .derivation = {}};
  made.info.name = std::move(name);
  // What is no feature stays as it is, whatever a pattern says that matches its name too.
  const bool is_feature = column.role != ColumnRole::kLabel && column.role != ColumnRole::kWeight && column.role != ColumnRole::kCandidates;
  if (made.section.kind == "ignore" || (made.section.kind.empty() && !is_feature)) return made;
  derive_time(made);
  choose_role(made);
  derive_number(made);
  derive_buckets(made);
  take_cardinality(made);
  return made;
}

FeatureColumn derived_column(std::span<const ColumnInfo> columns, const std::string& name, FeatureSection section) {
  std::vector<std::string> names;
  const ColumnInfo* source = nullptr;
  for (const ColumnInfo& column : columns) {
    names.push_back(column.name);
    if (column.name == section.source) source = &column;
  }
  if (source == nullptr) {
    fail<ConfigError>("features.{}.source = \"{}\": the loader has no such column{}", name, section.source, suggestion(section.source, names));
  }
  if (source->role == ColumnRole::kLabel) {
    fail<ConfigError>("features.{}.source = \"{}\": that is a label, and a feature made of it would tell the model the answer", name, section.source);
  }
  ColumnInfo column = *source;
  column.is_key = false;  // that is the feature with the column's own name
  if (column.role == ColumnRole::kWeight || column.role == ColumnRole::kCandidates) column.role = ColumnRole::kId;
  FeatureColumn made = feature_column(column, name, std::move(section));
  const bool has_role = column.role == ColumnRole::kDense || column.role == ColumnRole::kSparse;
  if (made.section.kind.empty() && !has_role) {
    fail<ConfigError>("features.{}: column \"{}\" is no feature by itself; set kind = \"dense\" or \"sparse\"", name, made.source);
  }
  return made;
}

}  // namespace

std::vector<FeatureColumn> feature_columns(std::span<const ColumnInfo> columns, const FeatureSettings& settings,
                                           std::span<const std::string> derived) {
  std::vector<FeatureColumn> made;
  for (const ColumnInfo& column : columns) {
    FeatureSection section = settings ? settings(column.name) : FeatureSection{};
    if (!section.source.empty() && section.source != column.name) {
      fail<ConfigError>("features.{}.source = \"{}\": the loader has a column \"{}\" itself; give the feature another name", column.name, section.source,
                        column.name);
    }
    made.push_back(feature_column(column, column.name, std::move(section)));
  }
  for (const std::string& name : derived) {
    const bool own = std::any_of(columns.begin(), columns.end(), [&](const ColumnInfo& column) { return column.name == name; });
    if (!own) made.push_back(derived_column(columns, name, settings(name)));
  }
  return made;
}

void check_dense_keys(const FeatureColumn& column) {
  const FeatureSection& section = column.section;
  constexpr const char* kSparseOnly = "it is for sparse features; leave it out, or set kind = \"sparse\"";
  if (section.cardinality > 0) no_effect(column, "cardinality", kSparseOnly);
  if (section.hashes > 1) no_effect(column, "hashes", kSparseOnly);
  if (!section.salt.empty()) no_effect(column, "salt", kSparseOnly);
  if (const char* const key = dynamic_key(section); key != nullptr) no_effect(column, key, kSparseOnly);
  if (!section.keep.empty()) no_effect(column, "keep", kSparseOnly);
  if (!section.padding.empty()) no_effect(column, "padding", kSparseOnly);
  if (!section.weights.empty()) no_effect(column, "weights", kSparseOnly);
}

const char* dynamic_key(const FeatureSection& section) {
  if (section.admit_probability != 1.0) return "admit_probability";
  if (!section.evict.empty()) return "evict";
  if (section.max_age_steps > 0) return "max_age_steps";
  if (section.half_life_steps > 0) return "half_life_steps";
  return section.memory_gib > 0.0 ? "memory_gib" : nullptr;
}

void check_sparse_keys(const FeatureColumn& column) {
  const FeatureSection& section = column.section;
  const std::string& name = column.info.name;
  if (!section.transform.empty() && section.transform != "none") {
    fail<ConfigError>("features.{}.transform = \"{}\" is for dense features; \"{}\" is sparse", name, section.transform, name);
  }
  constexpr const char* kDenseOnly = "it is for dense features; leave it out, or set kind = \"dense\"";
  if (!section.clip.empty()) no_effect(column, "clip", kDenseOnly);
  if (!section.scale.empty() && section.scale != "none") no_effect(column, "scale", kDenseOnly);
  if (section.encoder != "hash" && section.hashes > 1) no_effect(column, "hashes", "set encoder = \"hash\", or leave it out");
  if (section.encoder != "hash" && section.encoder != "dynamic" && !section.salt.empty()) no_effect(column, "salt", "set encoder = \"hash\" or \"dynamic\", or leave it out");
  if (!section.weights.empty()) {
    if (!column.info.is_list) no_effect(column, "weights", fmt::format("column \"{}\" holds no lists; leave it out", column.source).c_str());
    if (section.max_length == 1) no_effect(column, "weights", "with max_length = 1 there is one id, which counts 1; leave it out");
    if (!section.pooling.empty() && section.pooling != "sum") {
      fail<ConfigError>("features.{}.pooling = \"{}\": rows with weights are summed up; set pooling = \"sum\", or leave weights out", name, section.pooling);
    }
  }
  const bool pads = !section.padding.empty() && section.padding != "none";
  if (section.keep.empty() && !pads) return;
  if (!column.info.is_list) no_effect(column, pads ? "padding" : "keep", fmt::format("column \"{}\" holds no lists; leave it out", column.source).c_str());
  if (section.max_length == 0) no_effect(column, pads ? "padding" : "keep", "it needs max_length; set that, or leave it out");
  if (pads && section.max_length == 1) no_effect(column, "padding", "with max_length = 1 the row for missing values stands for an empty list; leave it out");
}

}  // namespace rechost
