#include "data/drift.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/error.h"
#include "data/column_names.h"

namespace rechost {
namespace {

// A handful of rows to predict says nothing of a share.
constexpr std::int64_t kLeastValues = 100;

constexpr std::array<std::string_view, 3> kLabelKinds{"binary", "regression", "multiclass"};

template <typename Value, std::size_t count>
Value value_of(const std::string& name, const std::array<std::string_view, count>& names) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) fail<DataError>("the profile of the training data knows no \"{}\"", name);
  return static_cast<Value>(found - names.begin());
}

bool is_float(ValueType type) { return type == ValueType::kFloat32 || type == ValueType::kFloat64; }
bool is_feature(const ColumnInfo& column) { return column.role == ColumnRole::kDense || column.role == ColumnRole::kSparse; }

std::string type_text(const ColumnInfo& column) {
  return fmt::format("{}{}", column.is_list ? "lists of " : "", name_of(column.type));
}

/// Is a feature, weight or list of candidates made of this column of the loader?
const ColumnEncoding* use_of(const EncodingPlan& plan, const std::string& column) {
  const auto found = std::find_if(plan.columns.begin(), plan.columns.end(), [&](const ColumnEncoding& encoding) { return encoding.source == column; });
  return found == plan.columns.end() || found->target == ColumnEncoding::Target::kLabel ? nullptr : &*found;
}

bool can_take_the_place(const ColumnInfo& before, const ColumnInfo& now, const ColumnEncoding& use) {
  if (before.is_list != now.is_list) return false;
  if ((before.type == ValueType::kString) != (now.type == ValueType::kString)) return false;
  // Ids would be cut to whole numbers without a word.
  const bool ids = use.target == ColumnEncoding::Target::kSparse || use.target == ColumnEncoding::Target::kCandidates;
  return !ids || !use.derivation.empty() || is_float(before.type) == is_float(now.type);
}

std::string cardinality_text(const ColumnInfo& column) {
  return column.cardinality ? fmt::format("ids below {}", *column.cardinality) : std::string("any ids");
}

}  // namespace

Json DataProfile::to_json() const {
  Json json = Json::object();
  json["columns"] = Json::array();
  for (const ColumnInfo& column : columns) {
    Json entry = Json::object();
    entry["name"] = column.name;
    entry["role"] = name_of(column.role);
    entry["type"] = name_of(column.type);
    entry["list"] = column.is_list;
    entry["binary"] = column.is_binary;
    entry["nullable"] = column.nullable;
    entry["entity"] = column.entity;
    entry["key"] = column.is_key;
    if (column.cardinality) entry["cardinality"] = *column.cardinality;
    entry["label_kind"] = kLabelKinds[static_cast<std::size_t>(column.label_kind)];
    json["columns"].push_back(std::move(entry));
  }
  json["unseen_share"] = unseen_share;
  return json;
}

DataProfile DataProfile::from_json(const Json& json) {
  DataProfile profile;
  try {
    for (const Json& entry : json.at("columns")) {
      ColumnInfo column;
      column.name = entry.at("name").get<std::string>();
      column.role = value_of<ColumnRole>(entry.at("role").get<std::string>(), kRoleNames);
      column.type = value_of<ValueType>(entry.at("type").get<std::string>(), kTypeNames);
      column.is_list = entry.at("list").get<bool>();
      column.is_binary = entry.at("binary").get<bool>();
      column.nullable = entry.at("nullable").get<bool>();
      column.entity = entry.at("entity").get<std::string>();
      column.is_key = entry.at("key").get<bool>();
      if (entry.contains("cardinality")) column.cardinality = entry.at("cardinality").get<std::int64_t>();
      column.label_kind = value_of<LabelKind>(entry.at("label_kind").get<std::string>(), kLabelKinds);
      profile.columns.push_back(std::move(column));
    }
    profile.unseen_share = json.at("unseen_share").get<std::map<std::string, double>>();
  } catch (const nlohmann::json::exception& error) {
    fail<DataError>("the profile of the training data cannot be read: {}", error.what());
  }
  return profile;
}

double DataDrift::largest_unseen_share() const {
  double largest = 0.0;
  for (const auto& [feature, share] : unseen_share) largest = std::max(largest, share);
  return largest;
}

Json DataDrift::to_json() const {
  Json json = Json::object();
  json["changes"] = changes;
  json["unseen_share"] = unseen_share;
  return json;
}

std::vector<std::string> compare_columns(const DataProfile& profile, const EncodingPlan& plan, std::span<const ColumnInfo> columns, const std::string& split) {
  std::vector<std::string> changes;
  for (const ColumnInfo& now : columns) {
    const auto before = std::find_if(profile.columns.begin(), profile.columns.end(), [&](const ColumnInfo& column) { return column.name == now.name; });
    if (before == profile.columns.end()) {
      if (is_feature(now)) changes.push_back(fmt::format("{}: column \"{}\" ({}) is new: the model was trained without it, and it is left out", split, now.name, type_text(now)));
      continue;
    }
    const ColumnEncoding* const use = use_of(plan, now.name);
    if (use == nullptr) continue;
    if (!can_take_the_place(*before, now, *use)) {
      fail<DataError>("{}: column \"{}\" holds {}, but {} in the data that the model was trained on: feature \"{}\" cannot be made of it. Convert the column, or train "
                      "a new model",
                      split, now.name, type_text(now), type_text(*before), use->name);
    }
    if (before->type != now.type) changes.push_back(fmt::format("{}: column \"{}\" holds {}, in training it held {}", split, now.name, type_text(now), type_text(*before)));
    if (use->target == ColumnEncoding::Target::kSparse && before->cardinality != now.cardinality) {
      changes.push_back(fmt::format("{}: column \"{}\" announces {}, in training {}", split, now.name, cardinality_text(now), cardinality_text(*before)));
    }
    if (now.nullable && !before->nullable) changes.push_back(fmt::format("{}: values of column \"{}\" may be missing, which they could not in training", split, now.name));
  }
  return changes;
}

void UnseenValues::add(const EncodedChunk& chunk, const EncodingPlan& plan, const RowLayout& layout, std::span<const Vocabulary* const> vocabularies) {
  counts_.resize(plan.schema.sparse.size());
  if (chunk.words.size() != layout.words()) return;  // given up: bad rows only
  for (const ColumnEncoding& column : plan.columns) {
    if (column.target != ColumnEncoding::Target::kSparse) continue;
    const Vocabulary& vocabulary = *vocabularies[column.table];
    if (vocabulary.encoding().encoder != EncoderKind::kVocabulary) continue;
    Count& count = counts_[column.position];
    const auto see = [&, missing = vocabulary.missing_row()](std::int32_t id) {
      count.values += id != missing ? 1 : 0;
      count.unknown += id == Vocabulary::kUnknownRow ? 1 : 0;
    };
    const auto single = std::find(layout.single_features.begin(), layout.single_features.end(), column.position);
    if (single != layout.single_features.end()) {
      const std::vector<std::uint32_t>& words = chunk.words[layout.first_id() + static_cast<std::size_t>(single - layout.single_features.begin())];
      for (std::size_t row = 0; row < words.size(); ++row) {
        if (chunk.split[row] != EncodedChunk::kLeftOut) see(static_cast<std::int32_t>(words[row]));
      }
      continue;
    }
    const auto list = std::find(layout.list_features.begin(), layout.list_features.end(), column.position) - layout.list_features.begin();
    for (const std::int32_t id : chunk.lists[static_cast<std::size_t>(list)].ids) see(id);
  }
}

void UnseenValues::merge(const UnseenValues& other) {
  counts_.resize(std::max(counts_.size(), other.counts_.size()));
  for (std::size_t i = 0; i < other.counts_.size(); ++i) {
    counts_[i].values += other.counts_[i].values;
    counts_[i].unknown += other.counts_[i].unknown;
  }
}

std::map<std::string, double> UnseenValues::shares(const EncodingPlan& plan) const {
  std::map<std::string, double> shares;
  for (std::size_t feature = 0; feature < counts_.size(); ++feature) {
    const Count& count = counts_[feature];
    if (count.values >= kLeastValues) shares[plan.schema.sparse[feature].name] = static_cast<double>(count.unknown) / static_cast<double>(count.values);
  }
  return shares;
}

std::map<std::string, double> shares_in_training(const EncodingPlan& plan, const Vocabularies& vocabularies) {
  std::map<std::string, double> shares;
  for (const FeatureInfo& feature : plan.schema.sparse) {
    const Vocabulary& vocabulary = vocabularies.at(feature.table);
    if (vocabulary.encoding().encoder != EncoderKind::kVocabulary) continue;
    const std::int64_t values = vocabulary.counts().total() - vocabulary.counts()[vocabulary.missing_row()];
    if (values > 0) shares[feature.name] = static_cast<double>(vocabulary.counts()[Vocabulary::kUnknownRow]) / static_cast<double>(values);
  }
  return shares;
}

void raise_shares(std::map<std::string, double>& shares, const std::map<std::string, double>& others) {
  for (const auto& [feature, share] : others) {
    double& known = shares[feature];
    known = std::max(known, share);
  }
}

void find_unseen(const std::map<std::string, double>& shares, const DataProfile& profile, const DriftSection& settings, DataDrift& drift) {
  for (const auto& [feature, share] : shares) {
    const auto known = profile.unseen_share.find(feature);
    const double before = known == profile.unseen_share.end() ? 0.0 : known->second;
    if (share - before > settings.unseen_share) drift.unseen_share[feature] = std::max(drift.unseen_share[feature], share);
  }
}

std::vector<std::string> describe(const DataDrift& drift, const DriftSection& settings) {
  std::vector<std::string> sentences = drift.changes;
  for (const auto& [feature, share] : drift.unseen_share) {
    sentences.push_back(fmt::format("{:.1f}% of the values of feature \"{}\" were not seen in training, which is more than there were then by over "
                                    "data.drift.unseen_share = {}",
                                    100.0 * share, feature, settings.unseen_share));
  }
  return sentences;
}

}  // namespace rechost
