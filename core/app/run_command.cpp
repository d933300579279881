#include "app/run_command.h"

#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <optional>

#include "app/command.h"
#include "app/compute_device.h"
#include "app/environment.h"
#include "app/run_observer.h"
#include "app/run_report.h"
#include "app/run_tracker.h"
#include "app/setup.h"
#include "app/stop_signal.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "config/parse.h"
#include "config/show.h"
#include "registry/model_registry.h"
#include "tracking/rank_log.h"
#include "tracking/run_directory.h"
#include "train/checkpoint_store.h"
#include "train/memory_plan.h"
#include "train/model_checkpoint.h"
#include "train/trainer.h"

namespace rechost::app {

namespace fs = std::filesystem;
namespace options = boost::program_options;

namespace {

/// Where a run goes on.
struct ResumePoint {
  fs::path run_directory;
  fs::path checkpoint;
  bool verified = false;  ///< every byte has been read already
};

/// Peak resident memory of this process.
std::uint64_t peak_memory_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

std::optional<ResumePoint> explicit_resume(const std::string& text) {
  const fs::path path = fs::weakly_canonical(text);
  if (fs::exists(path / CheckpointManifest::kFileName)) return ResumePoint{path.parent_path().parent_path(), path, false};
  if (!fs::is_directory(path)) {
    fail<ConfigError>("--resume {}: there is no such run or checkpoint; use auto, never, a run directory or a checkpoint directory", text);
  }
  const auto latest = find_latest_checkpoint(path);
  if (!latest) fail<CheckpointError>("--resume {}: the run has no complete checkpoint", text);
  return ResumePoint{path, *latest, true};
}

/// The newest run of this name that did not finish, has a checkpoint and was made by the same training.
std::optional<ResumePoint> find_unfinished(const fs::path& root, const Config& config) {
  for (const RunRecord& run : list_runs(root)) {
    if (given_name(run.name) != config.run.name) continue;
    if (run.status == RunStatus::kFinished) return std::nullopt;
    if (run.status == RunStatus::kRunning) fail("run {} is still going on: wait for it, or choose another --out", run.path.string());
    const auto latest = find_latest_checkpoint(run.path);
    if (!latest) continue;
    const CheckpointReader reader(*latest);
    const Json& state = reader.manifest().state;
    if (!state.contains("identity") || state.at("identity") != training_identity(config)) {
      log_warning("{} is unfinished but was trained with another configuration; starting anew", run.path.string());
      return std::nullopt;
    }
    return ResumePoint{run.path, *latest, true};
  }
  return std::nullopt;
}

void require_same_training(const CheckpointReader& checkpoint, const Config& config) {
  const Json& state = checkpoint.manifest().state;
  if (!state.contains("identity")) throw CheckpointError(checkpoint.directory().string() + " was not written by a training run");
  const std::string before = state.at("identity").get<std::string>();
  const std::string now = training_identity(config);
  if (before == now) return;
  // The first line that differs says which key; both texts list the same keys in the same order.
  std::size_t begin = 0;
  while (begin < before.size() && begin < now.size()) {
    const std::size_t end_before = std::min(before.find('\n', begin), before.size());
    const std::size_t end_now = std::min(now.find('\n', begin), now.size());
    const std::string old_line = before.substr(begin, end_before - begin);
    const std::string new_line = now.substr(begin, end_now - begin);
    if (old_line != new_line) {
      fail<ConfigError>("cannot resume {}: the configuration has changed: it was `{}`, now `{}`. Start a new run (--resume never)",
                        checkpoint.directory().string(), old_line, new_line);
    }
    begin = end_before + 1;
  }
  fail<ConfigError>("cannot resume {}: the configuration has changed", checkpoint.directory().string());
}

std::vector<PluginIdentity> plugins_of(const Setup& setup, const RunData& data) {
  return {{"model", setup.model_module->id(), setup.model_module->plugin_version()},
          {"dataset", data.loader->module().id(), data.loader->module().plugin_version()}};
}

/// What may be another after a break although it can change the numbers: the run goes on, its owner should know.
void warn_of_changes(const CheckpointReader& checkpoint, const Setup& setup, const RunData& data, const std::vector<PluginIdentity>& plugins) {
  const CheckpointManifest& manifest = checkpoint.manifest();
  std::string changes;
  const auto add = [&](const std::string& change) { changes += (changes.empty() ? "" : ", ") + change; };
  if (manifest.state.value("data_fingerprint", "") != data.fingerprint()) add("the data");
  const int threads = manifest.state.value("threads", setup.context.threads);
  if (threads != setup.context.threads) add(fmt::format("run.threads from {} to {}", threads, setup.context.threads));
  for (const PluginIdentity& before : manifest.plugins) {
    for (const PluginIdentity& now : plugins) {
      if (before.role == now.role && before.version != now.version) add(fmt::format("{} from {} to {}", now.id, before.version, now.version));
    }
  }
  if (changes.empty()) return;
  log_warning("changed since {} was written: {}. The run goes on, but may not end with the bits that it would have without the break",
              checkpoint.directory().string(), changes);
}

void announce(const Setup& setup, const RunData& data, const ModelRuntime& model, const RunDirectory& directory) {
  const PreparedData& prepared = data.prepared;
  const auto rows = [](const Dataset* split) { return split == nullptr ? std::int64_t{0} : split->samples(); };
  log_info("run {} ({} on {}, {} threads, seed {})", directory.path().string(), setup.model_module->id(), data.loader->module().id(),
           setup.context.threads, setup.config.run.seed);
  log_info("data: {} training, {} validation, {} test rows; {} dense and {} sparse features; read in {:.1f} s",
           count_text(rows(prepared.train.get())), count_text(rows(prepared.valid.get())), count_text(rows(prepared.test.get())),
           prepared.plan->schema.dense.size(), prepared.plan->schema.sparse.size(), data.seconds);
  if (prepared.bad_rows > 0) log_warning("{} rows could not be used and were left out ({})", count_text(prepared.bad_rows), setup.config.data.bad_rows);
  std::int64_t table_rows = 0;
  std::int64_t table_parameters = 0;
  for (std::size_t i = 0; i < model.tables().table_count(); ++i) {
    table_rows += model.tables().table(i).rows;
    table_parameters += model.tables().table(i).rows * model.tables().table(i).dim;
  }
  log_info("model: {} dense parameters, {} tables with {} rows ({} parameters)", count_text(model.dense().count()), model.tables().table_count(),
           count_text(table_rows), count_text(table_parameters));
  const MemoryPlan memory = plan_memory(setup.config, data, model);
  log_info("memory: {} expected (tables {}, dense part {}, decoded rows {}, batches {}, libraries {})", bytes_text(memory.total()),
           bytes_text(memory.tables), bytes_text(memory.dense), bytes_text(memory.decoded_rows), bytes_text(memory.batches),
           bytes_text(MemoryPlan::kLibraries));
}

Json summary_of(const TrainingResult& result, const RunData& data) {
  Json summary = Json::object();
  summary["steps"] = result.steps;
  summary["samples"] = result.samples;
  summary["samples_per_second"] = result.seconds > 0 ? static_cast<double>(result.samples_here) / result.seconds : 0.0;
  summary["data_wait_share"] = result.seconds > 0 ? result.wait_seconds / result.seconds : 0.0;
  summary["peak_memory_bytes"] = peak_memory_bytes();
  Json metrics = Json::object();
  Json undefined = Json::object();
  Json reliability = Json::object();
  for (const auto& [split, report] : result.metrics) {
    metrics[split] = report.values_json();
    const Json reasons = report.reasons_json();
    if (!reasons.empty()) undefined[split] = reasons;
    if (!report.reliability.empty()) reliability[split] = report.reliability_json();
  }
  summary["metrics"] = metrics;
  if (!undefined.empty()) summary["undefined_metrics"] = undefined;
  if (!reliability.empty()) summary["reliability"] = reliability;
  if (const auto found = result.best_auc.find("test"); found != result.best_auc.end()) {
    summary["reference"]["best_auc"] = found->second;
  } else if (const auto valid = result.best_auc.find("valid"); valid != result.best_auc.end()) {
    summary["reference"]["best_auc"] = valid->second;
  }
  const double seconds = result.seconds > 0 ? result.seconds : 1.0;
  const double known = result.wait_seconds + result.times.lookup + result.times.model + result.times.update;
  Json time = Json::object();
  time["data"] = result.wait_seconds / seconds;
  time["lookup"] = result.times.lookup / seconds;
  time["model"] = result.times.model / seconds;
  time["update"] = result.times.update / seconds;
  time["comm"] = 0.0;
  time["other"] = std::max(0.0, (seconds - known) / seconds);
  summary["time"] = time;
  summary["bad_rows"] = data.prepared.bad_rows;
  summary["checkpoint"] = result.checkpoint.string();
  summary["model"] = nullptr;
  return summary;
}

Json register_model(const Setup& setup, const TrainingResult& result, const RunDirectory& directory) {
  ModelRegistry registry(registry_directory());
  ModelDescription description = describe_checkpoint(result.checkpoint);
  description.run_directory = directory.path();
  for (const auto& [split, report] : result.metrics) {
    for (const MetricValue& metric : report.values) {
      if (metric.value) description.metrics[split + "." + metric.name] = *metric.value;
    }
  }
  const ModelVersion version = registry.add(setup.config.registry.model, description);
  if (!setup.config.registry.alias.empty()) registry.set_alias(version.model, setup.config.registry.alias, version.version);
  log_info("registered as models:/{}/{}", version.model, version.version);
  return fmt::format("models:/{}/{}", version.model, version.version);
}

void print_result(const Json& summary, const RunDirectory& directory, const TrainingResult& result) {
  const double seconds = std::max(result.seconds, 1e-9);
  log_info("{} samples/s; step time: data {:.0f}%, lookup {:.0f}%, model {:.0f}%, update {:.0f}%, other {:.0f}%; peak memory {}",
           count_text(static_cast<std::int64_t>(static_cast<double>(result.samples_here) / seconds)), 100 * summary["time"]["data"].get<double>(),
           100 * summary["time"]["lookup"].get<double>(), 100 * summary["time"]["model"].get<double>(),
           100 * summary["time"]["update"].get<double>(), 100 * summary["time"]["other"].get<double>(),
           bytes_text(summary["peak_memory_bytes"].get<std::uint64_t>()));
  if (const auto found = result.metrics.find("test"); found != result.metrics.end()) {
    if (const auto auc = found->second.value("auc"); auc && result.best_auc.count("test") != 0) {
      const double best = result.best_auc.at("test");
      log_info("test auc {:.4f}; best reachable {:.4f}; short of it by {:.4f}", *auc, best, best - *auc);
    }
  }
  log_info("written: {}", directory.path().string());
}

/// The page is a convenience: a run does not fail for it.
void write_report(const RunDirectory& directory) {
  try {
    write_file_atomically(directory.path() / "report.html", run_report(directory.path()));
  } catch (const std::exception& error) {
    log_warning("no report: {}", error.what());
  }
}

int train(Setup& setup, const std::optional<ResumePoint>& resume_point, const fs::path& root, bool json) {
  // From here on a signal is answered in an orderly way, even while data are read.
  const std::atomic<bool>& stop = catch_stop_signals();
  const std::string config_text = show_config(setup.config, ShowOrigins::kNo);
  std::unique_ptr<CheckpointReader> checkpoint;
  if (resume_point) {
    checkpoint = std::make_unique<CheckpointReader>(resume_point->checkpoint);
    require_same_training(*checkpoint, setup.config);
    if (!resume_point->verified) checkpoint->verify();
  }
  RunDirectory directory = resume_point
                               ? RunDirectory::resume(resume_point->run_directory, checkpoint->manifest().position.step, config_text)
                               : RunDirectory::create(root, setup.config.run.name, config_text);
  const RankLog log(directory.path(), 0);
  const std::int64_t first_step = checkpoint ? checkpoint->manifest().position.step : 0;
  std::optional<RunTracker> tracker;
  try {
    tracker.emplace(setup, directory, first_step);
    clean_checkpoint_leftovers(directory.checkpoints());
    // One that a dying process had moved aside is back under its own name now.
    if (checkpoint && !fs::exists(checkpoint->directory())) {
      checkpoint = std::make_unique<CheckpointReader>(directory.checkpoints() / checkpoint_directory_name(checkpoint->manifest().position.step));
    }
    RunDataOptions data_options;
    if (checkpoint) data_options.learnt = load_learnt_data(*checkpoint);
    data_options.quarantine = directory.quarantine();
    const RunData data = open_run_data(setup.config, std::move(setup.loader), std::move(data_options), *setup.pool);
    const std::vector<PluginIdentity> plugins = plugins_of(setup, data);
    if (checkpoint) warn_of_changes(*checkpoint, setup, data, plugins);
    const auto model = build_model(setup, data, data.prepared.train.get(), !checkpoint);
    announce(setup, data, *model, directory);
    tracker->data(data);
    RunObserver observer(setup.config, directory, *tracker, first_step);
    Trainer::Parts parts;
    parts.config = &setup.config;
    parts.data = &data;
    parts.model = model.get();
    parts.observer = &observer;
    parts.pool = setup.pool.get();
    parts.stop = &stop;
    parts.checkpoints = directory.checkpoints();
    parts.config_text = config_text;
    parts.plugins = plugins;
    Trainer trainer(std::move(parts));
    if (checkpoint) {
      load_model_checkpoint(*checkpoint, *model, true);
      trainer.resume(checkpoint->manifest());
      log_info("resumed from {} at step {} of {}", checkpoint->directory().string(), count_text(first_step), count_text(trainer.total_steps()));
    }
    const TrainingResult result = trainer.run();
    Json summary = summary_of(result, data);
    summary["device"] = setup.gpu == nullptr ? "cpu" : setup.gpu->facts().name;
    if (!result.stopped && !setup.config.registry.model.empty()) {
      if (result.checkpoint.empty()) throw ConfigError("registry.model needs checkpoint.final = true");
      summary["model"] = register_model(setup, result, directory);
    }
    if (result.stopped) {
      log_info("stopped at step {}; the same command with --resume auto goes on", count_text(result.steps));
    } else {
      print_result(summary, directory, result);
    }
    const RunStatus status = result.stopped ? RunStatus::kStopped : RunStatus::kFinished;
    const Json written = directory.finish(status, summary);
    write_report(directory);
    tracker->finish(status, written);
    if (json) print(json_line(written) + "\n");
    return result.stopped ? kStopped : kDone;
  } catch (const std::exception& error) {
    Json summary = Json::object();
    summary["error"] = error.what();
    const Json written = directory.finish(RunStatus::kFailed, summary);
    write_report(directory);
    if (tracker) tracker->finish(RunStatus::kFailed, written);
    if (json) print(json_line(written) + "\n");
    throw;
  }
}

}  // namespace

int run_command(std::span<const std::string> arguments) {
  options::options_description visible("Options");
  visible.add_options()("plugin,p", options::value<std::string>(), "model: an id such as dlrm, or the path of a plugin file")(
      "config,c", options::value<std::vector<std::string>>()->default_value({}, "")->composing(), "configuration file; may be repeated, later ones win")(
      "set,s", options::value<std::vector<std::string>>()->default_value({}, "")->composing(), "key=value over everything else: optimizer.dense.lr=0.01")(
      "resume", options::value<std::string>()->default_value("never"), "auto: go on with the unfinished run; never; or a run or checkpoint directory")(
      "out,o", options::value<std::string>()->default_value("runs"), "folder in which the run directory is made")(
      "nproc", options::value<int>()->default_value(1), "processes");
  add_output_option(visible);
  options::variables_map values;
  if (!parse_arguments(find_command("run", ""), arguments, visible, {}, values)) return kDone;
  const bool json = wants_json(values);
  if (values["nproc"].as<int>() != 1) throw UsageError("--nproc: this build trains in one process");
  auto files = values["config"].as<std::vector<std::string>>();
  const std::string resume = values["resume"].as<std::string>();
  const fs::path root = values["out"].as<std::string>();

  std::optional<ResumePoint> resume_point;
  if (resume != "auto" && resume != "never") resume_point = explicit_resume(resume);
  std::optional<std::string> plugin;
  if (values.count("plugin") != 0) plugin = values["plugin"].as<std::string>();
  if (files.empty() && !plugin) {
    if (!resume_point) throw UsageError("say what to train: --plugin NAME, or --config FILE (rechost plugins list shows the names)");
    files.push_back((resume_point->checkpoint / "config.toml").string());
  }
  Setup setup = load_setup(requested_config(plugin, std::move(files), values["set"].as<std::vector<std::string>>()));
  setup.gpu = choose_gpu(setup.config.run, 1);
  if (resume == "auto") resume_point = find_unfinished(root, setup.config);
  return train(setup, resume_point, root, json);
}

}  // namespace rechost::app
