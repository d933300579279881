#include "app/setup.h"

#include <algorithm>

#include "app/compute_device.h"
#include "app/environment.h"
#include "app/ranks.h"
#include "app/run_tracker.h"
#include "base/error.h"
#include "base/file.h"
#include "base/host.h"
#include "base/log.h"
#include "base/philox.h"
#include "config/parse.h"
#include "config/show.h"
#include "plugin/library.h"
#include "train/checkpoint_store.h"
#include "train/model_checkpoint.h"
#include "train/row_budget.h"

namespace rechost::app {

namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kModelSeed = 8;

std::optional<std::string> lookup_variable(std::string_view name) { return environment_variable(std::string(name)); }

}  // namespace

ConfigLayers config_layers(const std::vector<std::string>& files, const std::vector<std::string>& settings) {
  ConfigLayers layers;
  layers.files.assign(files.begin(), files.end());
  for (auto& [name, value] : config_variables()) layers.environment.push_back({name, value});
  layers.settings = settings;
  layers.lookup = lookup_variable;
  return layers;
}

fs::path example_config(std::string_view plugin) {
  if (plugin.find('/') != std::string_view::npos) return {};
  const fs::path path = share_directory() / "configs" / (std::string(plugin) + ".toml");
  return fs::exists(path) ? path : fs::path();
}

Config requested_config(const std::optional<std::string>& plugin, std::vector<std::string> files, std::vector<std::string> settings) {
  fs::path example;
  if (plugin) {
    if (files.empty()) {
      example = example_config(*plugin);
      if (!example.empty()) {
        files.push_back(example.string());
      } else {
        // A plugin of one's own, with no configuration: synthetic data, so that the first run needs nothing.
        settings.insert(settings.begin(), "data.plugin=\"synthetic\"");
      }
    }
    settings.insert(settings.begin(), fmt::format("model.plugin=\"{}\"", *plugin));
  }
  ConfigNode document = load_document(config_layers(files, settings));
  if (!example.empty()) {
    const auto from_example = [&](const ConfigNode& node) { return node.origin.rfind(example.string() + ":", 0) == 0; };
    const auto data = document.table().find("data");
    const ConfigNode* loader = data == document.table().end() ? nullptr : data->second.find("plugin");
    if (loader != nullptr && !from_example(*loader)) std::erase_if(data->second.table(), [&](const auto& entry) { return from_example(entry.second); });
  }
  Config config = parse_config(document);
  resolve_tracking(config);
  return config;
}

Setup load_setup(Config config, int local_processes) {
  if (config.model.plugin.empty()) {
    throw ConfigError("model.plugin is missing: give --plugin NAME, or plugin = \"dlrm\" under [model]");
  }
  // With a GPU it is known later whether there is a need to.
  if (config.run.device == "cpu") require_precision(config.run, nullptr);
  keep_openmp_from_spinning();
  Setup setup;
  setup.config = std::move(config);
  setup.context.plugin_path = plugin_directories();
  setup.context.lookup = lookup_variable;
  setup.context.threads = setup.config.run.threads > 0 ? static_cast<int>(setup.config.run.threads) : std::max(1, usable_cores() / local_processes);
  // Options of both plugins are checked before anything long begins.
  setup.loader = load_dataset(setup.config, setup.context);
  setup.model_module = std::make_unique<Module>(load_module(ModuleKind::kModel, setup.config.model.plugin, setup.context.plugin_path));
  setup.model_options = std::make_unique<ModuleOptions>(
      *setup.model_module, setup.config.model.options,
      ModuleOptions::Context{.section = "model",
                             .seed = derive_seed(static_cast<std::uint64_t>(setup.config.run.seed), kModelSeed),
                             .threads = static_cast<std::uint32_t>(setup.context.threads),
                             .lookup = lookup_variable});
  setup.config.model.options = setup.model_options->resolved();
  if (setup.config.run.name.empty()) setup.config.run.name = setup.model_module->id();
  setup.pool = std::make_unique<ThreadPool>(setup.context.threads);
  return setup;
}

void warn_of_drift(const Config& config, const RunData& data) {
  for (const std::string& difference : describe(data.prepared.drift, config.data.drift)) log_warning("the data are not like those in training: {}", difference);
}

ModelSource find_model(const std::string& text) {
  if (ModelReference::is_reference(text)) {
    const ModelReference reference = ModelReference::parse(text);
    return {ModelRegistry(registry_directory()).resolve(reference), false};
  }
  const fs::path path = text;
  if (fs::exists(path / CheckpointManifest::kFileName)) return {path, false};
  if (fs::is_directory(path / "checkpoints")) {
    const auto latest = find_latest_checkpoint(path);
    if (!latest) fail<CheckpointError>("run {} has no complete checkpoint: train it to its end, or set checkpoint.every_steps", text);
    return {*latest, true};
  }
  fail<CheckpointError>("\"{}\" is neither a run directory, nor a checkpoint, nor a registry name like models:/dlrm@champion", text);
}

namespace {

std::unique_ptr<ModelRuntime> make_model(const Setup& setup, const RunData& data, const Dataset* train, ModelRuntime::Settings settings) {
  settings.seed = static_cast<std::uint64_t>(setup.config.run.seed);
  settings.threads = static_cast<std::uint32_t>(setup.context.threads);
  auto model = std::make_unique<ModelRuntime>(setup.config, *setup.model_module, *setup.model_options, data.prepared.plan->schema,
                                              data.prepared.vocabularies, train, settings, *setup.pool);
  std::vector<std::string> features;
  for (const ColumnEncoding& column : data.prepared.plan->columns) features.push_back(column.name);
  std::vector<std::string> tables;
  for (std::size_t i = 0; i < model->tables().table_count(); ++i) tables.push_back(model->tables().table(i).name);
  check_patterns(setup.config, features, tables);
  return model;
}

}  // namespace

std::function<void(EncodingPlan&)> row_settler(const Setup& setup) {
  return [&setup](EncodingPlan& plan) { settle_row_budgets(setup.config, *setup.model_module, *setup.model_options, plan); };
}

std::unique_ptr<ModelRuntime> build_model(const Setup& setup, const RunData& data, const Dataset* train, bool initialize,
                                          Ranks* ranks) {
  ModelRuntime::Settings settings;
  settings.initialize = initialize;
  settings.gpu = setup.gpu;
  // Use of a trained model is not training: what it computes does not depend on slices.
  settings.deterministic = setup.config.run.deterministic && train != nullptr;
  if (ranks != nullptr) {
    settings.communicator = &ranks->communicator();
    if (ranks->world_size() > 1) settings.beside = &ranks->open_another();
  }
  return make_model(setup, data, train, settings);
}

std::unique_ptr<ModelRuntime> build_planned_model(const Setup& setup, const RunData& data, int ranks) {
  ModelRuntime::Settings settings;
  settings.planned_tables = true;
  settings.planned_ranks = ranks;
  return make_model(setup, data, data.prepared.train.get(), settings);
}

LoadedModel load_model(const ModelSource& source, const std::vector<std::string>& settings, RunDataOptions data) {
  LoadedModel loaded;
  loaded.checkpoint = std::make_unique<CheckpointReader>(source.checkpoint);
  if (!source.verified) loaded.checkpoint->verify();
  // The checkpoint's own configuration is fully resolved; variables of this environment must not leak into a trained model's options.
  ConfigLayers layers;
  layers.files.push_back(loaded.checkpoint->file("config.toml"));
  layers.settings = settings;
  layers.lookup = lookup_variable;
  loaded.setup = load_setup(load_config(layers));
  loaded.setup.gpu = choose_gpu(loaded.setup.config.run, 1);
  require_precision(loaded.setup.config.run, loaded.setup.gpu.get());
  data.learnt = load_learnt_data(*loaded.checkpoint);
  loaded.data = open_run_data(loaded.setup.config, std::move(loaded.setup.loader), std::move(data), *loaded.setup.pool);
  if (loaded.data.prepared.bad_rows > 0) {
    log_warning("{} rows could not be used and were left out; the others are numbered without them", count_text(loaded.data.prepared.bad_rows));
  }
  warn_of_drift(loaded.setup.config, loaded.data);
  loaded.model = build_model(loaded.setup, loaded.data, nullptr, false);
  load_model_checkpoint(*loaded.checkpoint, *loaded.model, false);
  return loaded;
}

ModelDescription describe_checkpoint(const fs::path& checkpoint) {
  const CheckpointReader reader(checkpoint);
  const CheckpointManifest& manifest = reader.manifest();
  ModelDescription description;
  description.checkpoint = checkpoint;
  description.config_text = read_file(reader.file("config.toml"));
  description.data_fingerprint = manifest.state.value("data_fingerprint", "");
  description.sdk_version = sdk_version();
  for (const PluginIdentity& plugin : manifest.plugins) {
    if (plugin.role != "model") continue;
    description.plugin_id = plugin.id;
    description.plugin_version = plugin.version;
  }
  return description;
}

std::string bytes_text(std::uint64_t bytes) {
  const char* const units[] = {"B", "kB", "MB", "GB", "TB"};
  auto shown = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (shown >= 999.5 && unit < 4) {
    shown /= 1000.0;
    ++unit;
  }
  return fmt::format("{:.3g} {}", shown, units[unit]);
}

std::string count_text(std::int64_t count) {
  std::string text = std::to_string(count);
  for (std::ptrdiff_t at = static_cast<std::ptrdiff_t>(text.size()) - 3; at > (count < 0 ? 1 : 0); at -= 3) {
    text.insert(static_cast<std::size_t>(at), ",");
  }
  return text;
}

}  // namespace rechost::app
