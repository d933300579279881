#include "train/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/error.h"
#include "base/log.h"
#include "base/time.h"
#include "base/trace.h"
#include "data/pipeline.h"

namespace rechost {
namespace {

using Clock = std::chrono::steady_clock;

/// Steps of this process before those that are traced: the first ones are not like the others.
constexpr std::int64_t kWarmUpSteps = 10;

/// Ends waits of the pipeline's threads for ranks that want no more steps, before the pipeline waits for its threads: after an error too.
class EndOfTraining {
 public:
  explicit EndOfTraining(ModelRuntime& model) : model_(model) {}
  ~EndOfTraining() { model_.end_training(); }
  EndOfTraining(const EndOfTraining&) = delete;  // once is enough
  EndOfTraining& operator=(const EndOfTraining&) = delete;

 private:
  ModelRuntime& model_;
};

/// Rows of a table that are looked at in the middle of a run.
constexpr std::int64_t kSampledRows = 65536;

const Dataset& training_split(const RunData& data) {
  if (data.prepared.train == nullptr || data.prepared.train->samples() == 0) {
    throw DataError("there are no rows to train on: the loader offers no training split, or all its rows went to other splits");
  }
  return *data.prepared.train;
}

/// A forward pass for no head would be asked of a plugin that has none.
void require_trained_head(const ModelSpec& spec, const std::string& plugin) {
  if (std::any_of(spec.heads.begin(), spec.heads.end(), [](const ModelSpec::Head& head) { return head.trained(); })) return;
  fail<PluginError>("model \"{}\" cannot be trained: all of its heads are embeddings and scores, which have no loss; it needs a head with a label, or one of its own loss", plugin);
}

}  // namespace

Json Trainer::Course::to_json() const {
  Json state = Json::object();
  state["interval_loss"] = interval_loss;
  state["interval_weight"] = interval_weight;
  state["best"] = best ? Json(*best) : Json(nullptr);
  state["best_step"] = best_step;
  state["evaluations_without_improvement"] = evaluations_without_improvement;
  return state;
}

void Trainer::Course::restore(const Json& state) {
  interval_loss = state.at("interval_loss").get<double>();
  interval_weight = state.at("interval_weight").get<double>();
  best = state.at("best").is_null() ? std::nullopt : std::optional<double>(state.at("best").get<double>());
  best_step = state.at("best_step").get<std::int64_t>();
  evaluations_without_improvement = state.at("evaluations_without_improvement").get<std::int64_t>();
}

Trainer::Trainer(Parts parts)
    : parts_(std::move(parts)),
      config_(*parts_.config),
      order_(training_order(config_, training_split(*parts_.data).streams())),
      sentinels_(config_.sentinels, [this](const SentinelFinding& finding) { parts_.observer->on_finding(finding); }) {
  require_trained_head(parts_.model->spec(), config_.model.plugin);
  total_steps_ = order_.first_step_of(config_.run.epochs);
  if (config_.run.steps > 0) total_steps_ = config_.run.steps;
  if (total_steps_ == 0) {
    fail<ConfigError>("run.epochs = {}: data.mosaic.state goes on in epoch {}, after the end; epochs count from 0, those before the state included",
                      config_.run.epochs, order_.locate(0).epoch);
  }
  schedule_ = Schedule::from(config_.schedule, total_steps_);
  const bool plateau = config_.schedule.kind == "plateau";
  const bool watches = config_.eval.early_stop > 0 || config_.eval.restore_best || plateau;
  if (watches && parts_.data->prepared.split(config_.eval.split) == nullptr) {
    fail<ConfigError>("eval.early_stop, eval.restore_best and schedule.kind = \"plateau\" need a {} split, and the data have none: set "
                      "data.split.{} or eval.split",
                      config_.eval.split, config_.eval.split);
  }
  if (plateau) {
    const std::string watched = config_.eval.metric.empty() ? evaluator(config_.eval.split).default_metric() : config_.eval.metric;
    plateau_.emplace(config_.schedule.factor, config_.schedule.patience, higher_is_better(watched));
  }
  // What cannot be evaluated is said before the first step.
  const auto expect = [this](const std::string& split) {
    const Dataset* rows = parts_.data->prepared.split(split);
    if (rows != nullptr && rows->samples() > 0) evaluator(split);
  };
  if (config_.eval.every_epochs > 0 || config_.eval.every_steps > 0) expect(config_.eval.split);
  if (config_.eval.final_test) expect("test");
  watch_labels();
}

Trainer::~Trainer() = default;

void Trainer::watch_labels() {
  const std::uint64_t heads = parts_.model->heads_with_labels();
  const ModelSpec& spec = parts_.model->spec();
  for (std::size_t i = 0; i < spec.heads.size(); ++i) {
    const ModelSpec::Head& head = spec.heads[i];
    if (((heads >> i) & 1) == 0 || !head.trained()) continue;
    const std::int64_t columns = head.kind == ModelSpec::Head::Kind::kMultilabel ? head.size : 1;
    for (std::size_t column = *head.label; column < *head.label + static_cast<std::size_t>(columns); ++column) {
      sentinels_.watch_label(column, parts_.model->schema().labels[column].name);
    }
  }
}

void Trainer::resume(const CheckpointReader& checkpoint) {
  const CheckpointManifest& manifest = checkpoint.manifest();
  const Json& state = manifest.state;
  if (!state.contains("identity") || !state.contains("course")) throw CheckpointError("the checkpoint was not written by a training run");
  if (state.value("order", order_.fingerprint()) != order_.fingerprint()) {
    throw CheckpointError("the order of training samples is another than when the checkpoint was written: the training data have other files or other numbers "
                          "of rows, or data.mosaic.state has changed. Going on would repeat and lose samples: restore the data, or start a new run (--resume never)");
  }
  step_ = manifest.position.step;
  course_.restore(state.at("course"));
  if (plateau_ && state.contains("plateau")) plateau_->restore(state.at("plateau"));
  if (state.contains("sentinels")) sentinels_.restore(state.at("sentinels"));
  newest_checkpoint_ = checkpoint.directory();
}

std::int64_t Trainer::epoch_of(std::int64_t step) const { return order_.locate(step).epoch; }

double Trainer::lr_factor(std::int64_t step) const { return schedule_.factor(step) * (plateau_ ? plateau_->factor() : 1.0); }

CheckpointFacts Trainer::facts() const {
  CheckpointFacts facts;
  facts.position.step = step_;
  facts.position.epoch = epoch_of(step_);
  facts.position.sample_cursor = order_.locate(step_).step * order_.batch_size();
  facts.position.seed = static_cast<std::uint64_t>(config_.run.seed);
  facts.state["identity"] = training_identity(config_);
  facts.state["order"] = order_.fingerprint();
  if (order_.mosaic() != nullptr) {
    const EpochStep place = order_.locate(step_);
    facts.mosaic_state = mosaic_state_json(order_.mosaic()->state_after(place.epoch, place.step));
  }
  facts.state["course"] = course_.to_json();
  facts.state["sentinels"] = sentinels_.to_json();
  facts.state["threads"] = parts_.pool->size();  // same seed and number of threads: same bits
  facts.state["ranks"] = parts_.model->world_size();
  if (plateau_) facts.state["plateau"] = plateau_->to_json();
  facts.config_text = parts_.config_text;
  facts.plugins = parts_.plugins;
  facts.data_fingerprint = parts_.data->fingerprint();
  facts.labels = parts_.data->prepared.plan->schema.labels;
  facts.profile = parts_.data->prepared.profile;
  facts.keep = config_.checkpoint.keep;
  facts.earlier = newest_checkpoint_;
  if (config_.eval.restore_best && course_.best_step >= 0) facts.keep_steps.push_back(course_.best_step);
  return facts;
}

void Trainer::write_checkpoint(TrainingResult& result) {
  if (checkpoint_step_ == step_) return;  // an evaluation was the best at a step that is due anyway
  const TraceSpan span("checkpoint", step_, TraceDetail::kRun);
  const auto begin = Clock::now();
  result.checkpoint = save_model_checkpoint(parts_.checkpoints, *parts_.model, *parts_.data->prepared.vocabularies, facts());
  checkpoint_step_ = step_;
  newest_checkpoint_ = result.checkpoint;
  parts_.observer->on_checkpoint(step_, result.checkpoint, seconds_since(begin));
}

bool Trainer::restore_best() {
  if (course_.best_step < 0 || course_.best_step == step_) return false;
  const CheckpointReader reader(parts_.checkpoints / checkpoint_directory_name(course_.best_step));
  if (parts_.model->communicator().rank() == 0) reader.verify();
  load_model_checkpoint(reader, *parts_.model, true);
  checkpoint_step_ = -1;
  log_info("back to the weights of the best evaluation, step {}", course_.best_step);
  return true;
}

Evaluator& Trainer::evaluator(const std::string& split) {
  auto& entry = evaluators_[split];
  if (entry == nullptr) {
    entry = std::make_unique<Evaluator>(config_, *parts_.data->prepared.split(split), parts_.data->prepared.train.get(), *parts_.model,
                                        *parts_.pool);
  }
  return *entry;
}

void Trainer::evaluate(const std::string& split, bool watch, TrainingResult& result) {
  const Dataset* rows = parts_.data->prepared.split(split);
  if (rows == nullptr || rows->samples() == 0) return;
  const TraceSpan span("evaluation", step_, TraceDetail::kRun);
  const auto begin = Clock::now();
  MetricReport metrics = evaluator(split).run();
  EvaluationReport report;
  report.split = split;
  report.step = step_;
  report.epoch = epoch_of(step_);
  report.best_auc = rows->best_auc();
  if (report.best_auc) result.best_auc[split] = *report.best_auc;
  report.watched = config_.eval.metric.empty() ? evaluator(split).default_metric() : config_.eval.metric;
  if (watch && !report.watched.empty()) {
    const MetricValue* watched = metrics.find(report.watched);
    if (watched == nullptr) {
      std::string names;
      for (const MetricValue& value : metrics.values) names += (names.empty() ? "" : ", ") + value.name;
      fail<ConfigError>("eval.metric = \"{}\" is none of this model's metrics: {}", report.watched, names);
    }
    const bool higher = higher_is_better(report.watched);
    if (watched->value && (!course_.best || (higher ? *watched->value > *course_.best : *watched->value < *course_.best))) {
      course_.best = watched->value;
      course_.best_step = step_;
      course_.evaluations_without_improvement = 0;
      report.best = true;
    } else {
      ++course_.evaluations_without_improvement;
    }
    if (plateau_ && plateau_->observe(watched->value.value_or(std::nan("")))) {
      log_info("learning rates now times {:g}: {} did not improve", plateau_->factor(), report.watched);
    }
  }
  report.metrics = &metrics;
  report.seconds = seconds_since(begin);
  parts_.observer->on_evaluation(report);
  sentinels_.look_at_evaluation(step_, split, metrics);
  // Pruning spares it, see facts().
  if (watch && report.best && config_.eval.restore_best) write_checkpoint(result);
  result.metrics[split] = std::move(metrics);
}

bool Trainer::evaluation_due() const {
  const bool epoch_end = order_.locate(step_).step == 0;
  if (epoch_end && config_.eval.every_epochs > 0 && epoch_of(step_) % config_.eval.every_epochs == 0) return true;
  return config_.eval.every_steps > 0 && step_ % config_.eval.every_steps == 0;
}

TrainingResult Trainer::run() {
  TrainingResult result;
  BatchPipeline::Settings settings;
  const SlicePlan& slices = parts_.model->slice_plan();
  settings.slices = slices.slices;
  settings.first_slice = slices.first;
  settings.slice_count = slices.count;
  settings.first_step = step_;
  settings.end_step = total_steps_;
  settings.prefetch = config_.data.prefetch;
  settings.prefetch_bytes = static_cast<std::uint64_t>(config_.data.prefetch_gib * static_cast<double>(std::uint64_t{1} << 30));
  settings.threads = config_.data.reader_threads > 0 ? static_cast<int>(config_.data.reader_threads) : 1;
  const auto slice_count = static_cast<std::size_t>(slices.count);
  std::vector<PreparedBatch> prepared((static_cast<std::size_t>(settings.prefetch) + 1) * slice_count);
  parts_.model->begin_training(step_);
  BatchPipeline pipeline(*parts_.data->prepared.train, order_, settings, [&](std::span<Batch> batches, int place, const BatchPipeline::InOrder& in_order) {
    const auto own = std::span(prepared).subspan(static_cast<std::size_t>(place), slice_count);
    const TraceSpan span("prepare", batches.front().step + 1);
    parts_.model->prepare_step(batches, own, in_order);
    return memory_bytes(own);
  });
  const EndOfTraining end_of_training(*parts_.model);

  const std::int64_t first_step = step_;
  std::vector<Batch> batches(slice_count);
  StepReport report;
  report.total_steps = total_steps_;
  // A run that had already stopped early and was killed before its end does not train on.
  result.stopped_early = config_.eval.early_stop > 0 && course_.evaluations_without_improvement >= config_.eval.early_stop;
  auto begin = Clock::now();
  while (!result.stopped_early && step_ < total_steps_) {
    trace_steps(first_step);
    std::optional<TraceSpan> span(std::in_place, "step", step_ + 1);
    {
      const TraceSpan wait("wait for data");
      if (!pipeline.next(batches)) break;
    }
    const Batch& batch = batches.front();
    ModelRuntime::StepSettings step;
    step.step = step_ + 1;
    step.lr_factor = lr_factor(step.step);
    step.stop = parts_.stop != nullptr && parts_.stop->load(std::memory_order_relaxed);
    const auto outcome = parts_.model->train_step(
        batches, std::span(prepared).subspan(static_cast<std::size_t>(pipeline.place()), slice_count), step, result.times);
    ++step_;
    for (std::size_t i = 0; parts_.samples != nullptr && i < slice_count; ++i) parts_.samples->add(batches[i]);
    for (const Batch& slice : batches) sentinels_.look_at_labels(slice);
    course_.interval_loss += outcome.loss * outcome.weight;
    course_.interval_weight += outcome.weight;
    result.samples_here += batch.global_rows;
    result.wait_seconds += pipeline.last_wait_seconds();
    result.traffic += outcome.traffic;
    interval_traffic_ += outcome.traffic;
    ++interval_steps_;
    if (parts_.model->world_size() > 1) span->set_bytes(outcome.traffic.sent_bytes, outcome.traffic.received_bytes);

    report.step = step_;
    report.epoch = batch.epoch;
    report.samples = batch.global_rows;
    report.loss = outcome.loss;
    report.seconds = result.seconds + seconds_since(begin);
    report.wait_seconds = result.wait_seconds;
    report.steps_here = step_ - first_step;
    report.samples_here = result.samples_here;
    parts_.observer->on_step(report);

    const bool last = step_ == total_steps_;
    if (step_ % config_.run.log_every_steps == 0 || last) report_interval(first_step, batch.epoch, step.lr_factor);
    span.reset();
    const bool evaluate_now = evaluation_due();
    const bool stop_now = outcome.stop;
    const bool checkpoint_now = config_.checkpoint.every_steps > 0 && step_ % config_.checkpoint.every_steps == 0;
    if (!evaluate_now && !stop_now && !checkpoint_now) continue;

    // Neither counts as training time.
    result.seconds += seconds_since(begin);
    if (stop_now) parts_.model->end_training();  // while all ranks are here: none must see another's connection end
    if (evaluate_now) {
      evaluate(config_.eval.split, true, result);
      if (sentinels_.on()) sentinels_.look_at_tables(step_, survey(kSampledRows));
      result.stopped_early = config_.eval.early_stop > 0 && course_.evaluations_without_improvement >= config_.eval.early_stop;
    }
    if ((stop_now && !last && !result.stopped_early) || checkpoint_now) write_checkpoint(result);
    begin = Clock::now();
    if (stop_now && !last && !result.stopped_early) {
      result.stopped = true;
      break;
    }
  }
  result.seconds += seconds_since(begin);
  parts_.model->end_training();
  trace_steps(first_step);
  result.prefetch_peak_bytes = pipeline.peak_bytes();
  result.prefetch_held_back = pipeline.held_back();
  result.steps = step_;
  result.steps_here = step_ - first_step;
  result.samples = order_.samples_before(step_);
  if (!result.stopped) finish(result);
  result.findings = sentinels_.findings();
  return result;
}

void Trainer::report_interval(std::int64_t first_step, std::int64_t epoch, double lr_factor) {
  IntervalReport report;
  report.step = step_;
  report.epoch = epoch;
  report.loss = course_.interval_loss / course_.interval_weight;
  report.lr_factor = lr_factor;
  if (parts_.model->dense().count() > 0) report.gradient_norm = parts_.model->dense().gradient_norm(*parts_.pool);
  report.dynamic_tables = parts_.model->dynamic().all();
  if (parts_.model->world_size() > 1) {
    report.sent_bytes = static_cast<double>(interval_traffic_.sent_bytes) / static_cast<double>(interval_steps_);
    report.received_bytes = static_cast<double>(interval_traffic_.received_bytes) / static_cast<double>(interval_steps_);
  }
  parts_.observer->on_interval(report);
  sentinels_.look_at_gradient(step_, report.gradient_norm);
  sentinels_.judge_labels(step_, step_ == total_steps_ && first_step == 0, parts_.model->communicator());
  course_.interval_loss = 0.0;
  course_.interval_weight = 0.0;
  interval_traffic_ = {};
  interval_steps_ = 0;
}

/// What the next step keeps of itself. In a run too short for both, the steps to warm up are fewer.
void Trainer::trace_steps(std::int64_t first_step) const {
  if (parts_.profiled_steps == 0) return;
  const std::int64_t begin = first_step + std::clamp(total_steps_ - first_step - parts_.profiled_steps, std::int64_t{0}, kWarmUpSteps);
  const bool is_traced = step_ >= begin && step_ - begin < parts_.profiled_steps && step_ < total_steps_;
  set_trace_detail(is_traced ? TraceDetail::kSteps : TraceDetail::kRun);
}

std::vector<TableFacts> Trainer::survey(std::int64_t most_rows) const {
  SurveySettings settings;
  settings.dead_norm = config_.sentinels.dead_norm;
  settings.exploding_norm = config_.sentinels.exploding_norm;
  // An epoch of data.epoch_size samples or of weighted streams need not have all of them.
  settings.whole_epoch = epoch_of(step_) > 0 && config_.data.epoch_size == 0 && config_.data.streams.empty();
  settings.l2_on_all_rows = config_.regularization.l2_sparse > 0 && config_.regularization.l2_scope == "table";
  settings.most_rows = most_rows;
  return survey_tables(*parts_.model, *parts_.data->prepared.vocabularies, settings, *parts_.pool);
}

void Trainer::finish(TrainingResult& result) {
  // What is reported, and registered, must be of the weights that are kept.
  if (config_.eval.restore_best && restore_best()) evaluate(config_.eval.split, false, result);
  if (config_.checkpoint.final) write_checkpoint(result);
  if (config_.eval.final_test) evaluate("test", false, result);
  if (!sentinels_.on()) return;
  result.tables = survey(0);
  sentinels_.look_at_tables(step_, result.tables);
  sentinels_.finish(step_);
}

}  // namespace rechost
