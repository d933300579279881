#include "app/encoded_splits.h"

#include "base/error.h"
#include "config/node.h"
#include "data/dataset_source.h"

namespace rechost::app {

namespace {

const char* pooling_text(FeatureInfo::Pooling pooling) {
  return pooling == FeatureInfo::Pooling::kMean ? "mean" : pooling == FeatureInfo::Pooling::kNone ? "none" : "sum";
}

std::string toml_text(const std::string& text) { return ConfigNode{.value = text, .origin = {}, .typed = {}}.text(); }

}  // namespace

EncodedSplits::EncodedSplits(Loader loader, const std::filesystem::path& quarantine, ThreadPool& pool) : config_(std::move(loader.config)) {
  // Rows are encoded again when they are written: memory is bounded by chunks, not by the data.
  config_.data.shuffle = "none";
  config_.data.memory_gib = 0.0;
  RunDataOptions options;
  options.quarantine = quarantine;
  data_ = open_run_data(config_, std::move(loader.instance), std::move(options), pool);
  for (const Dataset* dataset : {data_.prepared.train.get(), data_.prepared.valid.get(), data_.prepared.test.get()}) {
    if (dataset != nullptr && dataset->samples() > 0) splits_.emplace_back(dataset->name(), std::make_shared<DatasetSource>(*dataset));
  }
}

Json EncodedSplits::identity() const {
  Json features = Json::object();
  for (const auto& [pattern, node] : config_.features) features[pattern] = node.text();
  const SplitSection& split = config_.data.split;
  return {{"features", std::move(features)}, {"split", {split.by, split.valid, split.test}}, {"seed", config_.run.seed}};
}

std::string EncodedSplits::feature_config() const {
  std::string text;
  const Dataset& train = *data_.prepared.train;
  for (const FeatureInfo& feature : train.schema().sparse) {
    text += fmt::format("\n[features.{}]\ncardinality = {}\n", key_text(feature.name), train.vocabularies().at(feature.table).rows());
    if (!feature.is_list) text += "missing = \"fail\"\n";  // missing ids have a row of their own
    if (feature.table != feature.name) text += fmt::format("table = {}\n", toml_text(feature.table));
    text += fmt::format("pooling = \"{}\"\n", pooling_text(feature.pooling));
    if (!feature.weights.empty()) text += fmt::format("weights = {}\n", toml_text(weights_column(feature)));
    if (feature.is_list && feature.max_length > 0) text += fmt::format("max_length = {}\n", feature.max_length);
  }
  return text;
}

void EncodedSplits::save_vocabularies(const std::filesystem::path& folder) const { data_.prepared.vocabularies->save(folder); }

}  // namespace rechost::app
