#include "app/entity_keys.h"

#include <algorithm>

#include "base/error.h"

namespace rechost::app {

std::vector<std::string> keys_of(const Catalogue& catalogue, const Vocabularies& vocabularies) {
  const auto& features = catalogue.schema().sparse;
  const auto key = std::find_if(features.begin(), features.end(), [](const FeatureInfo& feature) { return feature.is_key; });
  const TableEncoding& encoding = vocabularies.at(key->table).encoding();
  if (encoding.encoder == EncoderKind::kHash || (encoding.encoder == EncoderKind::kDynamic && encoding.values == ValueKind::kString)) {
    fail<ConfigError>("feature \"{}\" is hashed, so the ids of the {}s cannot be told any more: train with features.{}.encoder = \"vocabulary\", or with integers and \"dynamic\"",
                      key->name, catalogue.entity(), key->name);
  }
  std::vector<std::string> keys;
  keys.reserve(static_cast<std::size_t>(catalogue.size()));
  for (std::int64_t entry = 0; entry < catalogue.size(); ++entry) keys.push_back(catalogue.key_text(entry));
  return keys;
}

std::unordered_map<std::string, std::int32_t> entries_by_key(const Catalogue& catalogue, const Vocabularies& vocabularies) {
  std::vector<std::string> keys = keys_of(catalogue, vocabularies);
  std::unordered_map<std::string, std::int32_t> entries;
  entries.reserve(keys.size());
  for (std::size_t entry = 0; entry < keys.size(); ++entry) entries.emplace(std::move(keys[entry]), static_cast<std::int32_t>(entry));
  return entries;
}

}  // namespace rechost::app
