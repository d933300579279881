#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "config/document.h"
#include "config/sections.h"
#include "device/gpu.h"
#include "plugin/library.h"
#include "plugin/options.h"
#include "registry/model_registry.h"
#include "train/checkpoint_reader.h"
#include "train/model_runtime.h"
#include "train/run_data.h"

namespace rechost::app {

class Ranks;

/// A configuration whose plugins have been loaded and whose options are checked: what every verb that trains or uses a model begins with.
struct Setup {
  Config config;
  RunContext context;
  std::unique_ptr<Module> model_module;
  std::unique_ptr<ModuleOptions> model_options;
  std::unique_ptr<StreamLoader> loader;  ///< handed on to open_run_data()
  std::unique_ptr<ThreadPool> pool;
  std::shared_ptr<const Gpu> gpu;  ///< where to compute, from choose_gpu(); null: the CPU
};

/// Files, environment and --set, in the order of the conventions.
ConfigLayers config_layers(const std::vector<std::string>& files, const std::vector<std::string>& settings);

/// The example configuration of a plugin, configs/<name>.toml beside the program; empty when there is none.
std::filesystem::path example_config(std::string_view plugin);

/// The configuration that a user asked for: --plugin, --config and --set together. Without --config the plugin's example is the base; when
/// the user names another dataset loader, what the example says of its own loader is left out. `files` and `settings` as given.
Config requested_config(const std::optional<std::string>& plugin, std::vector<std::string> files, std::vector<std::string> settings);

/// Loads the model plugin and checks the options of both plugins; `config` becomes fully resolved. This process has its share of the cores
/// that `local_processes` on this machine have.
Setup load_setup(Config config, int local_processes = 1);

/// A model on disk: by run directory, checkpoint directory or registry name.
struct ModelSource {
  std::filesystem::path checkpoint;
  bool verified = false;  ///< every byte has been read already, in the search for the newest sound one
};
ModelSource find_model(const std::string& text);

/// A trained model ready for use, and the data that its configuration (changed by --set) names.
struct LoadedModel {
  Setup setup;
  std::unique_ptr<CheckpointReader> checkpoint;
  RunData data;
  std::unique_ptr<ModelRuntime> model;
};
/// `data` as for open_run_data(), but for what the checkpoint has learnt.
LoadedModel load_model(const ModelSource& source, const std::vector<std::string>& settings, RunDataOptions data);

/// Says how the data differ from those that the model was trained on, if they do.
void warn_of_drift(const Config& config, const RunData& data);

/// For RunDataOptions of a run that trains, or is planned: the rows of dynamic tables that have a budget of bytes.
std::function<void(EncodingPlan&)> row_settler(const Setup& setup);

/// The model of `setup`, built for `data`. `train` as in ModelRuntime; `ranks`: all of which build it; null: this process alone.
std::unique_ptr<ModelRuntime> build_model(const Setup& setup, const RunData& data, const Dataset* train, bool initialize,
                                          Ranks* ranks = nullptr);

/// The same for planning a training run: its tables take no memory, see PlannedTables. On the CPU.
std::unique_ptr<ModelRuntime> build_planned_model(const Setup& setup, const RunData& data, int ranks);

/// What the registry is to know of a checkpoint by itself: configuration, data and plugins, but neither run directory nor metrics.
ModelDescription describe_checkpoint(const std::filesystem::path& checkpoint);

/// "12.3 MB"
std::string bytes_text(std::uint64_t bytes);
/// "1,048,576"
std::string count_text(std::int64_t count);

}  // namespace rechost::app
