#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/thread_pool.h"
#include "data/prepare.h"
#include "memory_source.h"

namespace rechost {

/// Words for tests: "prepare this source with these features".
class DataFixture {
 public:
  DataSection data;
  std::map<std::string, FeatureSection> features;
  std::uint64_t seed = 1;
  std::shared_ptr<const Vocabularies> vocabularies;
  std::vector<LabelInfo> labels;
  DataProfile profile;
  std::filesystem::path quarantine;
  bool labels_required = true;
  int threads = 1;

  PreparedData prepare(const std::string& split, const std::shared_ptr<MemorySource>& source) const {
    return prepare(std::vector<SplitSource>{{split, source}});
  }
  PreparedData prepare(const std::vector<SplitSource>& sources) const {
    PrepareOptions options;
    options.data = data;
    options.feature_settings = [this](const std::string& name) {
      const auto found = features.find(name);
      return found == features.end() ? FeatureSection{} : found->second;
    };
    for (const auto& [name, section] : features) {
      if (!section.source.empty()) options.derived_features.push_back(name);
    }
    options.seed = seed;
    options.vocabularies = vocabularies;
    options.labels = labels;
    options.profile = profile;
    options.quarantine_directory = quarantine;
    options.temporary_directory = data.temporary_path;
    options.labels_required = labels_required;
    ThreadPool pool(threads);
    return prepare_data(sources, options, pool);
  }
};

inline std::shared_ptr<MemorySource> source(std::int64_t rows_per_chunk = 4) { return std::make_shared<MemorySource>(rows_per_chunk); }

inline Batch all_rows(const Dataset& dataset) {
  Batch batch;
  dataset.gather_range(0, dataset.samples(), batch);
  return batch;
}

/// Ids of a feature as original values.
inline std::vector<std::string> texts(const Dataset& dataset, const Batch& batch, std::size_t feature) {
  std::vector<std::string> result;
  const Vocabulary& vocabulary = dataset.vocabularies().at(dataset.schema().sparse[feature].table);
  for (const std::int32_t id : batch.sparse[feature].ids) result.push_back(vocabulary.value_text(id));
  return result;
}

/// "1 2|3||" : lists of original values, one after the other.
inline std::string list_text(const Dataset& dataset, const Batch& batch, std::size_t feature) {
  const std::vector<std::string> values = texts(dataset, batch, feature);
  const IdColumn& column = batch.sparse[feature];
  std::string text;
  for (std::int64_t row = 0; row < batch.rows; ++row) {
    const std::int64_t begin = column.offsets[static_cast<std::size_t>(row)];
    const std::int64_t end = column.offsets[static_cast<std::size_t>(row) + 1];
    for (std::int64_t i = begin; i < end; ++i) text += (i > begin ? " " : "") + values[static_cast<std::size_t>(i)];
    text += "|";
  }
  return text;
}

/// A source with every sort of column: dense, ids, strings, lists, label, weight; numbers from a fixed seed.
inline std::shared_ptr<MemorySource> mixed_source(std::size_t rows, std::int64_t rows_per_chunk) {
  std::mt19937 random(7);
  const auto below = [&](unsigned n) { return static_cast<std::int64_t>(random() % n); };
  MemorySource::Values<float> price;
  MemorySource::Values<float> click;
  MemorySource::Values<float> weight;
  MemorySource::Values<std::int64_t> user;
  MemorySource::Values<std::int64_t> item;
  MemorySource::Values<std::string> city;
  std::vector<std::vector<std::int64_t>> history;
  std::vector<std::vector<float>> watched;
  for (std::size_t row = 0; row < rows; ++row) {
    price.push_back(below(10) == 0 ? std::nullopt : std::optional<float>(static_cast<float>(below(1000)) / 8));
    click.push_back(static_cast<float>(below(2)));
    weight.push_back(static_cast<float>(1 + below(3)));
    user.push_back(below(40));
    item.push_back(1000 + below(5) * below(30));
    city.push_back(below(7) == 0 ? std::nullopt : std::optional<std::string>("city " + std::to_string(below(20))));
    history.emplace_back();
    watched.emplace_back();
    for (std::int64_t n = below(4); n > 0; --n) {
      history.back().push_back(1000 + below(150));
      watched.back().push_back(static_cast<float>(below(9)) / 4 - 1);
    }
  }
  auto made = source(rows_per_chunk);
  made->dense("price", price).of("item");
  made->ids("user", user, 40).of("user", true);
  made->ids("item", item).of("item", true);
  made->words("city", city).of("user");
  made->lists("history", history).of("user");
  made->number_lists("watched", watched).as(ColumnRole::kId);
  made->label("click", click);
  made->weight("importance", weight);
  return made;
}

inline bool equal(const Batch& left, const Batch& right) {
  if (left.samples != right.samples || left.dense != right.dense || left.labels != right.labels || left.weights != right.weights) return false;
  if (left.step != right.step || left.epoch != right.epoch || left.rows != right.rows || left.sparse.size() != right.sparse.size()) return false;
  for (std::size_t i = 0; i < left.sparse.size(); ++i) {
    if (left.sparse[i].ids != right.sparse[i].ids || left.sparse[i].offsets != right.sparse[i].offsets || left.sparse[i].weights != right.sparse[i].weights) return false;
  }
  return true;
}

}  // namespace rechost
