#include "train/run_data.h"

#include <chrono>

#include "base/error.h"
#include "base/philox.h"
#include "base/time.h"
#include "config/parse.h"

namespace rechost {
namespace {

constexpr std::uint64_t kLoaderSeed = 5;
constexpr std::uint64_t kSplitSeed = 6;

}  // namespace

std::string RunData::fingerprint() const {
  std::uint64_t value = 0;
  for (const Dataset* split : {prepared.train.get(), prepared.valid.get(), prepared.test.get()}) {
    if (split != nullptr) value ^= derive_seed(split->fingerprint(), name_seed(split->name()));
  }
  return fmt::format("{:016x}", value);
}

std::unique_ptr<DatasetInstance> load_dataset(Config& config, const RunContext& context) {
  if (config.data.plugin.empty()) {
    throw ConfigError("data.plugin is missing: name a dataset loader, such as synthetic, criteo, ratings or csv");
  }
  const Module module = load_module(ModuleKind::kDataset, config.data.plugin, context.plugin_path);
  ModuleOptions options(module, config.data.options,
                        {.section = "data", .seed = derive_seed(static_cast<std::uint64_t>(config.run.seed), kLoaderSeed),
                         .threads = static_cast<std::uint32_t>(context.threads), .lookup = context.lookup});
  config.data.options = options.resolved();
  return std::make_unique<DatasetInstance>(module, std::move(options));
}

RunData open_run_data(Config& config, std::unique_ptr<DatasetInstance> loader, RunDataOptions options, ThreadPool& pool) {
  const auto begin = std::chrono::steady_clock::now();
  RunData data;
  data.loader = std::move(loader);
  const std::vector<std::string> offered = data.loader->list_splits();
  const bool host_splits = offered == std::vector<std::string>{"all"};
  data.unsplit = options.unsplit && host_splits;
  if (data.unsplit) config.data.split = {};
  std::vector<SplitSource> sources;
  for (const std::string& split : offered) {
    if (!host_splits && !options.split.empty() && split != options.split) continue;
    sources.push_back({split, std::shared_ptr<ChunkSource>(data.loader->open(split))});
  }
  if (sources.empty()) fail<ConfigError>("the data have no {} split; there are: {}", options.split, fmt::join(offered, ", "));
  PrepareOptions prepare;
  prepare.data = config.data;
  prepare.feature_settings = [&config](const std::string& feature) { return feature_settings(config, feature); };
  prepare.seed = derive_seed(static_cast<std::uint64_t>(config.run.seed), kSplitSeed);
  prepare.quarantine_directory = std::move(options.quarantine);
  prepare.temporary_directory = config.data.temporary_path;
  prepare.vocabularies = std::move(options.learnt.vocabularies);
  prepare.labels = std::move(options.learnt.labels);
  prepare.labels_required = options.labels_required;
  data.prepared = prepare_data(sources, prepare, pool);
  data.seconds = seconds_since(begin);
  return data;
}

}  // namespace rechost
