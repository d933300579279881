#include "app/encoded_splits.h"

#include "base/error.h"
#include "config/node.h"
#include "data/dataset_source.h"

namespace rechost::app {

namespace {

const char* pooling_text(FeatureInfo::Pooling pooling) {
  return pooling == FeatureInfo::Pooling::kMean ? "mean" : pooling == FeatureInfo::Pooling::kNone ? "none" : "sum";
}

/// What makes dynamic tables of written keys: everything, for they hold no rows.
std::string dynamic_text(const TableEncoding& table, const EncodingPlan& plan, std::size_t feature) {
  std::string text = "encoder = \"dynamic\"\n";
  if (table.memory_bytes > 0) {
    text += fmt::format("memory_gib = {}\n", static_cast<double>(table.memory_bytes) / static_cast<double>(std::int64_t{1} << 30));
  } else {
    text += fmt::format("max_rows = {}\n", table.max_rows);
  }
  if (table.min_count > 1) text += fmt::format("min_count = {}\n", table.min_count);
  if (table.admit_probability < 1.0) text += fmt::format("admit_probability = {}\n", table.admit_probability);
  text += fmt::format("evict = \"{}\"\n", eviction_name(table.evict));
  if (table.max_age_steps > 0) text += fmt::format("max_age_steps = {}\n", table.max_age_steps);
  if (table.half_life_steps > 0) text += fmt::format("half_life_steps = {}\n", table.half_life_steps);
  for (const ColumnEncoding& column : plan.columns) {
    if (column.target != ColumnEncoding::Target::kSparse || column.position != feature || column.padding == ColumnEncoding::Padding::kNone) continue;
    text += fmt::format("padding = \"{}\"\n", column.padding == ColumnEncoding::Padding::kFront ? "front" : "back");
  }
  return text;
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
  for (std::size_t i = 0; i < train.schema().sparse.size(); ++i) {
    const FeatureInfo& feature = train.schema().sparse[i];
    const Vocabulary& vocabulary = train.vocabularies().at(feature.table);
    text += fmt::format("\n[features.{}]\n", key_text(feature.name));
    text += feature.dynamic ? dynamic_text(vocabulary.encoding(), train.plan(), i) : fmt::format("cardinality = {}\n", vocabulary.rows());
    if (!feature.is_list && !feature.dynamic) text += "missing = \"fail\"\n";  // missing ids have a row of their own
    if (feature.table != feature.name) text += fmt::format("table = {}\n", toml_text(feature.table));
    text += fmt::format("pooling = \"{}\"\n", pooling_text(feature.pooling));
    if (!feature.weights.empty()) text += fmt::format("weights = {}\n", toml_text(weights_column(feature)));
    if (feature.is_list && feature.max_length > 0) text += fmt::format("max_length = {}\n", feature.max_length);
  }
  return text;
}

void EncodedSplits::save_vocabularies(const std::filesystem::path& folder) const { data_.prepared.vocabularies->save(folder); }

}  // namespace rechost::app
