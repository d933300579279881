#include "train/run_data.h"

#include <chrono>

#include "base/error.h"
#include "base/philox.h"
#include "config/parse.h"

namespace rechost {
namespace {

constexpr std::uint64_t kLoaderSeed = 5;
constexpr std::uint64_t kSplitSeed = 6;

}  // namespace

std::uint64_t RunData::fingerprint() const {
  std::uint64_t value = 0;
  for (const Dataset* split : {prepared.train.get(), prepared.valid.get(), prepared.test.get()}) {
    if (split != nullptr) value ^= derive_seed(split->fingerprint(), name_seed(split->name()));
  }
  return value;
}

RunData open_run_data(Config& config, const RunContext& context, std::shared_ptr<const Vocabularies> vocabularies, bool labels_required,
                      const std::filesystem::path& quarantine, ThreadPool& pool) {
  const auto begin = std::chrono::steady_clock::now();
  if (config.data.plugin.empty()) {
    throw ConfigError("data.plugin is missing: name a dataset loader, such as synthetic, criteo, ratings or csv");
  }
  const Module module = load_module(ModuleKind::kDataset, config.data.plugin, context.plugin_path);
  const auto seed = static_cast<std::uint64_t>(config.run.seed);
  ModuleOptions options(module, config.data.options,
                        {.section = "data", .seed = derive_seed(seed, kLoaderSeed), .threads = static_cast<std::uint32_t>(context.threads),
                         .lookup = context.lookup});
  config.data.options = options.resolved();
  RunData data;
  data.loader = std::make_unique<DatasetInstance>(module, std::move(options));
  std::vector<SplitSource> sources;
  for (const std::string& split : data.loader->list_splits()) {
    sources.push_back({split, std::shared_ptr<ChunkSource>(data.loader->open(split))});
  }
  PrepareOptions prepare;
  prepare.data = config.data;
  prepare.feature_settings = [&config](const std::string& feature) { return feature_settings(config, feature); };
  prepare.seed = derive_seed(seed, kSplitSeed);
  prepare.quarantine_directory = quarantine;
  prepare.vocabularies = std::move(vocabularies);
  prepare.labels_required = labels_required;
  data.prepared = prepare_data(sources, prepare, pool);
  data.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return data;
}

}  // namespace rechost
