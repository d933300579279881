#include "app/run_command.h"

#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <optional>

#include "app/command.h"
#include "app/compute_device.h"
#include "app/environment.h"
#include "app/error_text.h"
#include "app/last_word.h"
#include "app/placement_report.h"
#include "app/ranks.h"
#include "app/resume_point.h"
#include "app/run_observer.h"
#include "app/run_report.h"
#include "app/run_tracker.h"
#include "app/setup.h"
#include "app/stop_signal.h"
#include "base/error.h"
#include "base/file.h"
#include "base/host.h"
#include "base/log.h"
#include "base/trace.h"
#include "config/parse.h"
#include "launch/process_identity.h"
#include "launch/supervisor.h"
#include "config/show.h"
#include "registry/model_registry.h"
#include "tracking/rank_log.h"
#include "tracking/run_directory.h"
#include "train/checkpoint_store.h"
#include "train/memory_plan.h"
#include "train/model_checkpoint.h"
#include "train/slice_plan.h"
#include "train/table_panel.h"
#include "train/trainer.h"

namespace rechost::app {

namespace fs = std::filesystem;
namespace options = boost::program_options;

namespace {

/// Enough to see what is usual, and a file that a browser opens at once.
constexpr std::int64_t kProfiledSteps = 100;

/// Peak resident memory of this process.
std::uint64_t peak_memory_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

std::vector<PluginIdentity> plugins_of(const Setup& setup, const RunData& data) {
  return {{"model", setup.model_module->id(), setup.model_module->plugin_version()},
          {"dataset", data.loader->module().id(), data.loader->module().plugin_version()}};
}

/// What may be another after a break although it can change the numbers: the run goes on, its owner should know.
void warn_of_changes(const CheckpointReader& checkpoint, const Setup& setup, const RunData& data, const std::vector<PluginIdentity>& plugins,
                     int ranks) {
  const CheckpointManifest& manifest = checkpoint.manifest();
  std::string changes;
  const auto add = [&](const std::string& change) { changes += (changes.empty() ? "" : ", ") + change; };
  if (manifest.state.value("data_fingerprint", "") != data.fingerprint()) add("the data");
  const int threads = manifest.state.value("threads", setup.context.threads);
  const int ranks_before = manifest.state.value("ranks", 1);
  if (!setup.config.run.deterministic && ranks_before != ranks) add(fmt::format("ranks from {} to {}", ranks_before, ranks));
  if (!setup.config.run.deterministic && threads != setup.context.threads) add(fmt::format("run.threads from {} to {}", threads, setup.context.threads));
  for (const PluginIdentity& before : manifest.plugins) {
    for (const PluginIdentity& now : plugins) {
      if (before.role == now.role && before.version != now.version) add(fmt::format("{} from {} to {}", now.id, before.version, now.version));
    }
  }
  if (changes.empty()) return;
  log_warning("changed since {} was written: {}. The run goes on, but may not end with the bits that it would have without the break",
              checkpoint.directory().string(), changes);
}

/// Where the tables are, when there is a choice.
void announce_placement(const ModelRuntime& model, const Communicator& ranks) {
  const Placement& placement = model.tables().placement();
  if (placement.world_size() == 1) return;
  const auto names_of = [&](Sharding sharding) {
    std::vector<std::string> names;
    for (std::size_t t = 0; t < placement.table_count(); ++t) {
      if (placement.sharding(t) == sharding) names.push_back(model.tables().table(t).name);
    }
    return fmt::format("{}", fmt::join(names, ", "));
  };
  const std::string by_rows = names_of(Sharding::kRowWise);
  std::string others;
  for (const auto& [sharding, what] : {std::pair(Sharding::kRowWiseHash, "by hashed rows"), std::pair(Sharding::kColumnWise, "by columns"), std::pair(Sharding::kDataParallel, "copied"),
                                       std::pair(Sharding::kTableRowWise, "by rows on one node"), std::pair(Sharding::kGrid, "by columns over nodes and rows in them")}) {
    const std::string names = names_of(sharding);
    if (!names.empty()) others += fmt::format("; {}: {}", what, names);
  }
  log_info("placement: {} ranks over {}; split by rows: {}{}", placement.world_size(), ranks.name(), by_rows.empty() ? "none" : by_rows, others);
  const std::string links = links_text(links_json(placement.ranks()));
  if (!links.empty()) log_info("  links: {}", links);
  for (int rank = 0; rank < placement.world_size(); ++rank) {
    std::size_t whole = 0;
    for (std::size_t t = 0; t < placement.table_count(); ++t) {
      whole += placement.sharding(t) == Sharding::kTableWise && !placement.shard(t, rank).is_empty() ? 1 : 0;
    }
    log_info("  rank {}: {} of tables and their state, {} tables whole", rank, bytes_text(static_cast<std::uint64_t>(placement.bytes(rank))), whole);
  }
}

void announce(const Setup& setup, const RunData& data, const ModelRuntime& model, const RunDirectory& directory,
              const Communicator& ranks) {
  const PreparedData& prepared = data.prepared;
  const auto rows = [](const Dataset* split) { return split == nullptr ? std::int64_t{0} : split->samples(); };
  log_info("run {} ({} on {}, {} threads, seed {})", directory.path().string(), setup.model_module->id(), data.loader->module().id(),
           setup.context.threads, setup.config.run.seed);
  log_info("data: {} training, {} validation, {} test rows; {} dense and {} sparse features; read in {:.1f} s",
           count_text(rows(prepared.train.get())), count_text(rows(prepared.valid.get())), count_text(rows(prepared.test.get())),
           prepared.plan->schema.dense.size(), prepared.plan->schema.sparse.size(), data.seconds);
  if (prepared.train != nullptr && setup.config.data.shuffle == "mosaic") {
    const SampleOrder order = training_order(setup.config, prepared.train->streams());
    const std::string warning = order.mosaic() == nullptr ? "" : order.mosaic()->block_warning();
    if (!warning.empty()) log_warning("{}", warning);
  }
  if (prepared.bad_rows > 0) log_warning("{} rows could not be used and were left out ({})", count_text(prepared.bad_rows), setup.config.data.bad_rows);
  std::int64_t table_rows = 0;
  std::int64_t table_parameters = 0;
  for (std::size_t i = 0; i < model.tables().table_count(); ++i) {
    table_rows += model.tables().table(i).rows;
    table_parameters += model.tables().table(i).rows * model.tables().table(i).dim;
  }
  log_info("model: {} dense parameters, {} tables with {} rows ({} parameters)", count_text(model.dense().count()), model.tables().table_count(),
           count_text(table_rows), count_text(table_parameters));
  announce_placement(model, ranks);
  const MemoryPlan memory = plan_memory(setup.config, data, model);
  log_info("memory: {} expected (tables {}, dense part {}, decoded rows {}, batches {}, libraries {})", bytes_text(memory.total()),
           bytes_text(memory.tables), bytes_text(memory.dense), bytes_text(memory.decoded_rows), bytes_text(memory.batches),
           bytes_text(MemoryPlan::kLibraries));
}

Json summary_of(const TrainingResult& result, const RunData& data, int ranks) {
  Json summary = Json::object();
  summary["ranks"] = ranks;
  summary["steps"] = result.steps;
  summary["samples"] = result.samples;
  summary["samples_per_second"] = result.seconds > 0 ? static_cast<double>(result.samples_here) / result.seconds : 0.0;
  summary["data_wait_share"] = result.seconds > 0 ? result.wait_seconds / result.seconds : 0.0;
  summary["prefetch_peak_bytes"] = result.prefetch_peak_bytes;
  summary["prefetch_held_back"] = result.prefetch_held_back;
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
  const double known = result.wait_seconds + result.times.comm + result.times.lookup + result.times.model + result.times.update;
  Json time = Json::object();
  time["data"] = result.wait_seconds / seconds;
  time["lookup"] = result.times.lookup / seconds;
  time["model"] = result.times.model / seconds;
  time["update"] = result.times.update / seconds;
  time["comm"] = result.times.comm / seconds;
  time["other"] = std::max(0.0, (seconds - known) / seconds);
  summary["time"] = time;
  if (ranks > 1 && result.samples_here > 0) {
    const auto steps = static_cast<double>(result.steps_here);
    summary["comm"]["sent_bytes_per_step"] = static_cast<double>(result.traffic.sent_bytes) / steps;
    summary["comm"]["received_bytes_per_step"] = static_cast<double>(result.traffic.received_bytes) / steps;
    summary["comm"]["messages_per_step"] = static_cast<double>(result.traffic.sent_messages) / steps;
  }
  summary["bad_rows"] = data.prepared.bad_rows;
  if (data.prepared.bad_rows > 0) {
    summary["bad_rows_by_split"] = data.prepared.bad_rows_by_split;
    summary["bad_rows_by_column"] = data.prepared.bad_rows_by_column;
  }
  if (data.prepared.drift.found()) summary["drift"] = data.prepared.drift.to_json();
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
  log_info("{} samples/s; step time: data {:.0f}%, lookup {:.0f}%, model {:.0f}%, update {:.0f}%, ranks {:.0f}%, other {:.0f}%; peak memory {}",
           count_text(static_cast<std::int64_t>(static_cast<double>(result.samples_here) / seconds)), 100 * summary["time"]["data"].get<double>(),
           100 * summary["time"]["lookup"].get<double>(), 100 * summary["time"]["model"].get<double>(),
           100 * summary["time"]["update"].get<double>(), 100 * summary["time"]["comm"].get<double>(), 100 * summary["time"]["other"].get<double>(),
           bytes_text(summary["peak_memory_bytes"].get<std::uint64_t>()));
  const std::string held = result.prefetch_held_back == 0 ? "" : fmt::format(", {} of them kept back by data.prefetch_gib", count_text(result.prefetch_held_back));
  log_info("waited for data {:.1f}% of the time; batches prepared ahead took up to {}{}", 100 * summary["data_wait_share"].get<double>(),
           bytes_text(result.prefetch_peak_bytes), held);
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

/// Of ranks that neither talk nor write.
class SilentObserver : public TrainingObserver {
 public:
  void on_step(const StepReport& /*report*/) override {}
  void on_interval(const IntervalReport& /*report*/) override {}
  void on_evaluation(const EvaluationReport& /*report*/) override {}
  void on_checkpoint(std::int64_t /*step*/, const fs::path& /*checkpoint*/, double /*seconds*/) override {}
};

/// One training run, as all of its ranks go through it; rank 0 alone keeps the run directory.
class TrainingRun {
 public:
  /// `profiled_steps` as in Trainer::Parts.
  TrainingRun(Setup& setup, Ranks& ranks, std::optional<ResumePoint> resume_point, fs::path root, std::int64_t profiled_steps)
      : setup_(setup),
        ranks_(ranks),
        resume_point_(std::move(resume_point)),
        root_(std::move(root)),
        profiled_steps_(profiled_steps),
        stop_(catch_stop_signals()) {}

  int run(bool json) {
    const std::string config_text = show_config(setup_.config, ShowOrigins::kNo);
    try {
      ranks_.require_same("configuration", training_identity(setup_.config));
      agree_on_resume();
      open_directory(config_text);
      if (directory_) tracker_.emplace(setup_, *directory_, first_step());
      return train(config_text, json);
    } catch (const std::exception& error) {
      const std::string why = error_text(error);
      ranks_.fail(why);
      if (directory_) record_failure(why, json);
      throw;
    }
  }

 private:
  /// Rank 0 has looked for it.
  void agree_on_resume() {
    Communicator& all = ranks_.communicator();
    const std::string path = broadcast_text(all, resume_point_ ? resume_point_->checkpoint.string() : "");
    if (!ranks_.leads() && !path.empty()) resume_point_ = ResumePoint{fs::path(path).parent_path().parent_path(), path, true};
    if (!resume_point_) return;
    checkpoint_ = std::make_unique<CheckpointReader>(resume_point_->checkpoint);
    require_same_training(*checkpoint_, setup_.config);
    if (!resume_point_->verified) checkpoint_->verify();
  }

  void open_directory(const std::string& config_text) {
    if (ranks_.leads()) {
      directory_ = resume_point_ ? RunDirectory::resume(resume_point_->run_directory, checkpoint_->manifest().position.step, config_text)
                                 : RunDirectory::create(root_, setup_.config.run.name, config_text);
    }
    path_ = broadcast_text(ranks_.communicator(), directory_ ? fs::absolute(directory_->path()).string() : "");
    if (directory_) path_ = directory_->path();
    if (!fs::is_directory(path_)) {
      rechost::fail<ConfigError>("rank {} cannot see {}, which rank 0 has made: --out must name a folder on a file system that all ranks share",
                                 ranks_.rank(), path_.string());
    }
    log_ = std::make_unique<RankLog>(path_, ranks_.rank());
    if (ranks_.leads()) clean_checkpoint_leftovers(checkpoints());
    ranks_.communicator().barrier();
    // One that a dying process had moved aside is back under its own name now.
    if (checkpoint_ && !fs::exists(checkpoint_->directory())) {
      checkpoint_ = std::make_unique<CheckpointReader>(checkpoints() / checkpoint_directory_name(checkpoint_->manifest().position.step));
    }
  }

  fs::path checkpoints() const { return path_ / "checkpoints"; }
  std::int64_t first_step() const { return checkpoint_ ? checkpoint_->manifest().position.step : 0; }

  int train(const std::string& config_text, bool json) {
    RunDataOptions data_options;
    if (checkpoint_) data_options.learnt = load_learnt_data(*checkpoint_);
    data_options.settle_rows = row_settler(setup_);
    if (directory_) data_options.quarantine = directory_->quarantine();
    const RunData data = open_run_data(setup_.config, std::move(setup_.loader), std::move(data_options), *setup_.pool);
    ranks_.require_same("set of data", data.fingerprint());
    const std::vector<PluginIdentity> plugins = plugins_of(setup_, data);
    const auto model = build_model(setup_, data, data.prepared.train.get(), !checkpoint_, &ranks_);
    std::unique_ptr<TrainingObserver> observer = std::make_unique<SilentObserver>();
    if (directory_) {
      if (checkpoint_) warn_of_changes(*checkpoint_, setup_, data, plugins, ranks_.world_size());
      warn_of_drift(setup_.config, data);
      announce(setup_, data, *model, *directory_, ranks_.communicator());
      tracker_->data(data);
      observer = std::make_unique<RunObserver>(setup_.config, *directory_, *tracker_, first_step(), data.prepared);
    }
    Trainer::Parts parts;
    parts.config = &setup_.config;
    parts.data = &data;
    parts.model = model.get();
    parts.observer = observer.get();
    parts.pool = setup_.pool.get();
    std::optional<SampleLog> samples;
    if (setup_.config.run.log_samples) parts.samples = &samples.emplace(path_ / "samples" / fmt::format("rank-{:05}.jsonl", ranks_.rank()));
    parts.stop = &stop_;
    parts.profiled_steps = profiled_steps_;
    parts.checkpoints = checkpoints();
    parts.config_text = config_text;
    parts.plugins = plugins;
    Trainer trainer(std::move(parts));
    if (checkpoint_) {
      load_model_checkpoint(*checkpoint_, *model, true);
      trainer.resume(*checkpoint_);
      log_info("resumed from {} at step {} of {}", checkpoint_->directory().string(), count_text(first_step()), count_text(trainer.total_steps()));
    }
    name_traced_thread("training");
    const TrainingResult result = [&] {
      try {
        return trainer.run();
      } catch (...) {
        // What led there is in it.
        if (profiled_steps_ > 0) try_to_write_profile();
        throw;
      }
    }();
    if (profiled_steps_ > 0) write_profile();
    if (directory_) finish(result, data, *model, json);
    return result.stopped ? kStopped : kDone;
  }

  void write_profile() const {
    const fs::path path = path_ / "profile" / fmt::format("rank-{:05}.json", ranks_.rank());
    const std::size_t left_out = write_trace(path, ranks_.rank());
    if (left_out > 0) log_warning("{}: {} spans did not fit; trace fewer steps with --profile=STEPS", path.string(), left_out);
    log_info("profile of up to {} steps: {} (open it in chrome://tracing or ui.perfetto.dev)", profiled_steps_, path.string());
  }

  void try_to_write_profile() const {
    try {
      write_profile();
    } catch (const std::exception& error) {
      log_warning("the profile is not written: {}", error.what());
    }
  }

  /// Why the run failed is told in any case: the disk, of which it may have died, cannot take the word from it.
  void record_failure(const std::string& why, bool json) {
    try {
      Json summary = Json::object();
      summary["error"] = why;
      const Json written = directory_->finish(RunStatus::kFailed, summary);
      write_report(*directory_);
      if (tracker_) tracker_->finish(RunStatus::kFailed, written);
      if (json) print(json_line(written) + "\n");
    } catch (const std::exception& error) {
      log_warning("the run directory does not say how the run ended: {}", error.what());
    }
  }

  void finish(const TrainingResult& result, const RunData& data, const ModelRuntime& model, bool json) {
    Json summary = summary_of(result, data, ranks_.world_size());
    summary["sentinels"] = Json::array();
    for (const SentinelFinding& finding : result.findings) summary["sentinels"].push_back(finding.to_json());
    if (!result.tables.empty()) summary["tables"] = table_panel(model, *data.prepared.vocabularies, result.tables);
    summary["device"] = setup_.gpu == nullptr ? "cpu" : setup_.gpu->facts().name;
    if (!result.stopped && !setup_.config.registry.model.empty()) {
      if (result.checkpoint.empty()) throw ConfigError("registry.model needs checkpoint.final = true");
      summary["model"] = register_model(setup_, result, *directory_);
    }
    if (result.stopped) {
      log_info("stopped at step {}; the same command with --resume auto goes on", count_text(result.steps));
    } else {
      print_result(summary, *directory_, result);
    }
    const RunStatus status = result.stopped ? RunStatus::kStopped : RunStatus::kFinished;
    const Json written = directory_->finish(status, summary);
    write_report(*directory_);
    tracker_->finish(status, written);
    if (json) print(json_line(written) + "\n");
  }

  Setup& setup_;
  Ranks& ranks_;
  std::optional<ResumePoint> resume_point_;
  fs::path root_;
  std::int64_t profiled_steps_;
  const std::atomic<bool>& stop_;  ///< set by a signal, from the first moment on
  std::unique_ptr<CheckpointReader> checkpoint_;
  std::optional<RunDirectory> directory_;  ///< rank 0's
  fs::path path_;                          ///< of it, on all ranks
  std::unique_ptr<RankLog> log_;
  std::optional<RunTracker> tracker_;      ///< rank 0's
};

/// `arguments` without an option and its value. Both forms are looked for, "--name value" and "--name=value".
std::vector<std::string> without_option(std::span<const std::string> arguments, const std::string& name) {
  std::vector<std::string> kept;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == name) {
      ++i;
    } else if (arguments[i].rfind(name + "=", 0) != 0) {
      kept.push_back(arguments[i]);
    }
  }
  return kept;
}

/// Starts the ranks of this machine, each with the arguments of this process.
int start_ranks(std::span<const std::string> arguments, const ProcessIdentity& identity, int restarts) {
  require_memory(identity.starts, usable_memory_bytes());
  SupervisorSettings settings;
  settings.program = fs::read_symlink("/proc/self/exe");
  settings.arguments.emplace_back("run");
  // They are told who they are: a forced launcher would make agents of them again.
  const std::vector<std::string> kept = without_option(arguments, "--launcher");
  settings.arguments.insert(settings.arguments.end(), kept.begin(), kept.end());
  settings.environment = all_variables();
  settings.processes = identity.starts;
  settings.first_rank = identity.rank;
  settings.world_size = identity.world_size;
  settings.host = identity.host;
  settings.port = identity.ports.front();
  settings.token = identity.token;
  settings.restarts = restarts;
  settings.signal = &count_stop_signals();
  const SupervisorResult result = supervise(settings);
  if (!result.killed.empty()) leave_word(LastWord::kOfStarted, result.killed);
  return result.code;
}

}  // namespace

int run_command(std::span<const std::string> arguments) {
  options::options_description visible("Options");
  visible.add_options()("plugin,p", options::value<std::string>(), "model: an id such as dlrm, or the path of a plugin file")(
      "config,c", options::value<std::vector<std::string>>()->default_value({}, "")->composing(), "configuration file; may be repeated, later ones win")(
      "set,s", options::value<std::vector<std::string>>()->default_value({}, "")->composing(), "key=value over everything else: optimizer.dense.lr=0.01")(
      "resume", options::value<std::string>()->default_value("never"), "auto: go on with the unfinished run; never; or a run or checkpoint directory")(
      "out,o", options::value<std::string>()->default_value("runs"), "folder in which the run directory is made")(
      "nproc", options::value<int>(), "processes to start on this machine, each a rank of the run; default: what the launcher says, else 1")(
      "max-restarts", options::value<int>()->default_value(0), "times that the ranks of this machine are started again when one has failed")(
      "profile", options::value<std::int64_t>()->implicit_value(kProfiledSteps),
      "write what each rank did in so many steps, --profile=STEPS, after the first 10, into profile/ of the run directory, as a Chrome trace; STEPS 100 where none are given")(
      "launcher", options::value<std::string>()->default_value(""),
      fmt::format("which launcher's variables say what rank this is: {}; default: looked for in this order", launcher_names()).c_str());
  add_output_option(visible);
  options::variables_map values;
  if (!parse_arguments(find_command("run", ""), arguments, visible, {}, values)) return kDone;
  const bool json = wants_json(values);
  const int processes = values.count("nproc") == 0 ? 0 : values["nproc"].as<int>();
  if (values.count("nproc") != 0 && processes < 1) throw UsageError("--nproc: at least one process");
  const int restarts = values["max-restarts"].as<int>();
  if (restarts < 0) throw UsageError("--max-restarts: a number from 0 up");
  const std::int64_t profiled_steps = values.count("profile") == 0 ? 0 : values["profile"].as<std::int64_t>();
  if (values.count("profile") != 0 && profiled_steps < 1) throw UsageError("--profile: at least one step");
  const ProcessIdentity identity = find_identity(environment_variable, values["launcher"].as<std::string>(), processes);
  if (identity.launcher != "rechost" && identity.world_size > 1 && identity.starts == 1 && processes > 1) {
    throw UsageError(fmt::format("--nproc {}: {} has started {} processes already; leave --nproc out", processes, identity.launcher, identity.world_size));
  }
  if (restarts > 0 && !identity.one_each && identity.launcher != "rechost") {
    throw UsageError(fmt::format("--max-restarts: {} has started the ranks, and would have to start them again; leave it out", identity.launcher));
  }
  if (!identity.warning.empty()) log_warning("{}", identity.warning);
  // The ranks that it starts are given --max-restarts too.
  const bool supervise_others = identity.starts > 1 || (restarts > 0 && identity.launcher != "rechost");
  auto files = values["config"].as<std::vector<std::string>>();
  const std::string resume = values["resume"].as<std::string>();
  if (restarts > 0 && resume != "auto") {
    throw UsageError("--max-restarts: ranks that start again go on from the last checkpoint, so say --resume auto as well");
  }
  const fs::path root = values["out"].as<std::string>();
  const bool leads = identity.rank == 0;
  if (!leads) set_console(LogLevel::kWarning, identity.launcher == "rechost" ? "" : fmt::format("[rank {}] ", identity.rank));

  std::optional<ResumePoint> resume_point;
  if (resume != "auto" && resume != "never" && (leads || files.empty())) resume_point = explicit_resume(resume);
  std::optional<std::string> plugin;
  if (values.count("plugin") != 0) plugin = values["plugin"].as<std::string>();
  if (files.empty() && !plugin) {
    if (!resume_point) throw UsageError("say what to train: --plugin NAME, or --config FILE (rechost plugins list shows the names)");
    files.push_back((resume_point->checkpoint / "config.toml").string());
  }
  Setup setup = load_setup(requested_config(plugin, std::move(files), values["set"].as<std::vector<std::string>>()), identity.local_world_size);
  if (setup.config.run.deterministic && setup.config.run.device == "cuda") {
    throw ConfigError("run.device = \"cuda\": run.deterministic computes on the CPU so far; set run.device = \"cpu\", or leave run.deterministic out");
  }
  require_slices(setup.config.run.deterministic, identity.world_size);
  // What is wrong with the command has been said once now, and not by each process.
  if (supervise_others) return start_ranks(arguments, identity, restarts);
  if (leads && !setup.config.run.deterministic) setup.gpu = choose_gpu(setup.config.run, identity.world_size);
  require_precision(setup.config.run, setup.gpu.get());
  const std::unique_ptr<Ranks> ranks = Ranks::join(identity, setup.config.comm);
  if (leads && resume == "auto") resume_point = find_unfinished(root, setup.config);
  return TrainingRun(setup, *ranks, resume_point, root, profiled_steps).run(json);
}

}  // namespace rechost::app
