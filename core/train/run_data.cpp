#include "train/run_data.h"

#include <chrono>
#include <numeric>

#include "base/error.h"
#include "base/philox.h"
#include "base/time.h"
#include "config/parse.h"
#include "data/split_rows.h"
#include "storage/storage.h"

namespace rechost {
namespace {

constexpr std::uint64_t kLoaderSeed = 5;
constexpr std::uint64_t kSplitSeed = 6;
constexpr std::uint64_t kOrderSeed = 7;

std::uint64_t seed_for(const Config& config, std::uint64_t purpose) { return derive_seed(static_cast<std::uint64_t>(config.run.seed), purpose); }

StorageSettings storage_settings(const DataSection& data, const VariableLookup& lookup) {
  StorageSettings settings;
  if (lookup) settings.variables = lookup;
  settings.cache = data.cache;
  settings.cache_bytes = static_cast<std::uint64_t>(data.cache_gib * (1 << 30));
  settings.connections = static_cast<int>(data.remote_connections);
  settings.retry.deadline_seconds = data.remote_deadline_seconds;
  return settings;
}

}  // namespace

std::string RunData::fingerprint() const {
  std::uint64_t value = 0;
  for (const Dataset* split : {prepared.train.get(), prepared.valid.get(), prepared.test.get()}) {
    if (split != nullptr) value ^= derive_seed(split->fingerprint(), name_seed(split->name()));
  }
  return fmt::format("{:016x}", value);
}

std::unique_ptr<StreamLoader> load_dataset(Config& config, const RunContext& context) {
  if (config.data.plugin.empty()) {
    throw ConfigError("data.plugin is missing: name a dataset loader, such as synthetic, criteo, ratings or csv");
  }
  const Module module = load_module(ModuleKind::kDataset, config.data.plugin, context.plugin_path);
  // One cache and one set of connections for all streams.
  const auto storage = std::make_shared<Storage>(storage_settings(config.data, context.lookup));
  std::vector<StreamLoader::Stream> streams;
  const auto add = [&](const std::string& name, const std::string& section, ConfigNode& given) {
    ModuleOptions options(module, given, {.section = section, .seed = seed_for(config, kLoaderSeed), .threads = static_cast<std::uint32_t>(context.threads), .lookup = context.lookup});
    given = options.resolved();
    streams.push_back({name, DatasetInstance(module, std::move(options), storage)});
  };
  if (config.data.streams.empty()) add("", "data", config.data.options);
  for (auto& [name, node] : config.data.streams) {
    // Own options go before those of [data].
    ConfigNode options = stream_settings(config.data, name).options;
    for (const auto& [key, value] : config.data.options.table()) options.table().emplace(key, value);
    add(name, join_key("data.streams", name), options);
    for (const auto& [key, value] : options.table()) node.table()[key] = value;
  }
  return std::make_unique<StreamLoader>(std::move(streams));
}

std::vector<SplitSource> open_splits(const StreamLoader& loader, const RunDataOptions& options) {
  const std::vector<std::string> offered = loader.list_splits();
  const bool host_splits = offered == std::vector<std::string>{"all"};
  std::vector<SplitSource> sources;
  for (const std::string& split : offered) {
    if (!host_splits && !options.split.empty() && split != options.split) continue;
    sources.push_back(loader.open_split(split));
  }
  if (sources.empty()) fail<ConfigError>("the data have no {} split; there are: {}", options.split, fmt::join(offered, ", "));
  return sources;
}

SampleOrder training_order(const Config& config, std::vector<StreamShape> streams) {
  return SampleOrder(order_settings(config.data, seed_for(config, kOrderSeed)), std::move(streams));
}

SampleOrder declared_training_order(const Config& config, const std::vector<SplitSource>& sources) {
  for (const SplitSource& source : sources) {
    if (source.name != "all" && source.name != kSplitNames[kTrainSplit]) continue;
    std::vector<std::int64_t> chunk_rows;
    for (std::int64_t chunk = 0; chunk < source.source->chunk_count(); ++chunk) chunk_rows.push_back(source.source->chunk_rows(chunk));
    const RowSplits splits = split_rows(source.name, std::accumulate(chunk_rows.begin(), chunk_rows.end(), std::int64_t{0}), config.data.split, seed_for(config, kSplitSeed));
    std::int64_t row = 0;
    for (std::int64_t& rows : chunk_rows) {
      const std::int64_t end = row + rows;
      rows = 0;
      for (; row < end; ++row) rows += splits.of_row(row) == kTrainSplit ? 1 : 0;
    }
    return training_order(config, shapes_of_streams(config.data, source.streams, std::move(chunk_rows), true));
  }
  throw DataError("the loader offers no training split");
}

RunData open_run_data(Config& config, std::unique_ptr<StreamLoader> loader, RunDataOptions options, ThreadPool& pool) {
  const auto begin = std::chrono::steady_clock::now();
  RunData data;
  data.loader = std::move(loader);
  data.unsplit = options.unsplit && data.loader->list_splits() == std::vector<std::string>{"all"};
  if (data.unsplit) config.data.split = {};
  const std::vector<SplitSource> sources = open_splits(*data.loader, options);
  PrepareOptions prepare;
  prepare.data = config.data;
  prepare.feature_settings = [&config](const std::string& feature) { return feature_settings(config, feature); };
  prepare.derived_features = derived_features(config);
  prepare.seed = seed_for(config, kSplitSeed);
  prepare.quarantine_directory = std::move(options.quarantine);
  prepare.temporary_directory = config.data.temporary_path;
  prepare.vocabularies = std::move(options.learnt.vocabularies);
  prepare.labels = std::move(options.learnt.labels);
  prepare.profile = std::move(options.learnt.profile);
  prepare.labels_required = options.labels_required;
  prepare.settle_rows = std::move(options.settle_rows);
  data.prepared = prepare_data(sources, prepare, pool);
  data.seconds = seconds_since(begin);
  return data;
}

}  // namespace rechost
