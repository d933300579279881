#include "train/step_plan.h"

#include <algorithm>
#include <chrono>
#include <limits>

#include "base/error.h"
#include "base/time.h"
#include "data/pipeline.h"
#include "embedding/table_storage.h"
#include "train/table_survey.h"

namespace rechost {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int64_t kWarmUp = 3;
constexpr std::int64_t kFewest = 8;
constexpr std::int64_t kMost = 400;
constexpr double kSecondsEnough = 0.8;
constexpr double kSecondsAtMost = 4.0;

/// Whether so many measurements that took so long are enough.
bool enough(std::int64_t count, double seconds) {
  return count >= kMost || (count >= kFewest && seconds >= kSecondsEnough) || (count > 0 && seconds >= kSecondsAtMost);
}

/// The batches of a run as one of its ranks gets them, with what it prepares of each.
class Readers {
 public:
  Readers(const Config& config, const RunData& data, ModelRuntime& model, int ranks)
      : prepared_(places(config, model)),
        pipeline_(*data.prepared.train, training_order(config, data.prepared.train->streams()), settings(config, ranks), [&](std::span<Batch> batches, int place, const BatchPipeline::InOrder& in_order) {
          const auto own = std::span(prepared_).subspan(static_cast<std::size_t>(place), 1);
          model.prepare_step(batches, own, in_order);
          return memory_bytes(own);
        }) {}

  void next() {
    if (!pipeline_.next(batch_)) fail("the training data ended while a step was planned");
  }
  const Batch& batch() const { return batch_; }
  PreparedBatch& prepared() { return prepared_[static_cast<std::size_t>(pipeline_.place())]; }

 private:
  /// Each time a run begins anew.
  static std::size_t places(const Config& config, ModelRuntime& model) {
    model.begin_training(0);
    return static_cast<std::size_t>(config.data.prefetch) + 1;
  }

  static BatchPipeline::Settings settings(const Config& config, int ranks) {
    BatchPipeline::Settings settings;
    settings.slices = ranks;
    settings.end_step = std::numeric_limits<std::int64_t>::max() / 2;
    settings.prefetch = config.data.prefetch;
    settings.prefetch_bytes = static_cast<std::uint64_t>(config.data.prefetch_gib * static_cast<double>(std::uint64_t{1} << 30));
    settings.threads = config.data.reader_threads > 0 ? static_cast<int>(config.data.reader_threads) : 1;
    return settings;
  }

  std::vector<PreparedBatch> prepared_;
  Batch batch_;
  BatchPipeline pipeline_;  // its threads use what stands above
};

/// Seconds between two batches when nobody computes meanwhile.
double time_readers(Readers& readers) {
  for (std::int64_t i = 0; i < kWarmUp; ++i) readers.next();
  const auto begin = Clock::now();
  std::int64_t batches = 0;
  while (!enough(batches, seconds_since(begin))) {
    readers.next();
    ++batches;
  }
  return seconds_since(begin) / static_cast<double>(batches);
}

void add_traffic(const ModelRuntime& model, const Batch& batch, const PreparedBatch& prepared, std::vector<TableTraffic>& tables) {
  for (const ModelSpec::Embedding& embedding : model.spec().embeddings) {
    // Entries that are drawn have the columns of their catalogue alone; each has one id of its key.
    const bool drawn = embedding.group == InputGroup::kNegatives;
    const auto ids = static_cast<std::int64_t>(batch.sparse[embedding.sparse].ids.size()) / (model.schema().sparse[embedding.sparse].dynamic ? kIdsPerKey : 1);
    tables[embedding.table].ids += static_cast<double>(drawn ? prepared.negatives.rows : ids);
  }
  const EmbeddingEngine& lookups = model.tables().lookups();
  for (std::size_t t = 0; t < tables.size(); ++t) tables[t].distinct += static_cast<double>(lookups.unique_rows(prepared.ids, t).size());
}

/// What comes to the lookups of a table because its rows lie in a file.
void predict_file(const ModelRuntime& model, const Vocabularies& vocabularies, const StepPlanSettings& settings, std::size_t t, TableTraffic& traffic) {
  const TableConfig& table = model.tables().table(t);
  const Vocabulary* const vocabulary = vocabulary_of_table(model, vocabularies, t);
  const std::vector<std::int64_t> counts = vocabulary == nullptr ? std::vector<std::int64_t>{} : vocabulary->counts().all();
  traffic.misses = expected_misses(counts, table.rows, cached_rows(table), traffic.ids, traffic.distinct);
  traffic.file_speed = settings.file_row_speed({table.dim, table.optimizer.kind, table.precision}, table.file_directory);
  traffic.file = 1e-9 * (traffic.misses * traffic.file_speed.on_disk + (traffic.distinct - traffic.misses) * traffic.file_speed.cached);
  traffic.lookup += traffic.file;
}

void predict_tables(const ModelRuntime& model, const Vocabularies& vocabularies, const StepPlanSettings& settings, StepPlan& plan) {
  const EmbeddingTables& tables = model.tables();
  // Tables share the caches.
  const auto bytes = static_cast<double>(tables.memory_bytes()) / settings.ranks;
  for (std::size_t t = 0; t < plan.tables.size(); ++t) {
    TableTraffic& traffic = plan.tables[t];
    if (traffic.ids == 0.0) continue;
    const TableConfig& table = tables.table(t);
    const RowSpeed& speed = settings.row_speed({table.dim, table.optimizer.kind, table.precision});
    const double repeated = traffic.ids - traffic.distinct;
    traffic.lookup = 1e-9 * (speed.table_lookup + repeated * speed.repeated_lookup + traffic.distinct * speed.lookup(bytes));
    traffic.update = 1e-9 * (speed.table_update + repeated * speed.repeated_update + traffic.distinct * speed.update(bytes));
    if (table.in_file()) predict_file(model, vocabularies, settings, t, traffic);
    plan.lookup += traffic.lookup;
    plan.update += traffic.update;
  }
}

/// Readers work beside the step thread and its helpers, as long as there are cores for all of them.
void judge(const StepPlanSettings& settings, int threads, int readers, StepPlan& plan) {
  const double reading = plan.data * readers;  // of one core
  const double shared = (plan.compute() * threads + reading) / settings.cores;
  plan.seconds = std::max({plan.compute(), plan.data, shared});
  const std::pair<std::string_view, double> parts[] = {{"lookup", plan.lookup}, {"model", plan.model}, {"update", plan.update}, {"other", plan.other}};
  plan.bound = std::max_element(std::begin(parts), std::end(parts), [](const auto& one, const auto& two) { return one.second < two.second; })->first;
  if (plan.data > plan.compute()) plan.bound = "data";
}

}  // namespace

StepPlan plan_step(const Config& config, const RunData& data, ModelRuntime& model, const StepPlanSettings& settings) {
  StepPlan plan;
  {
    Readers alone(config, data, model, settings.ranks);
    plan.data = time_readers(alone);
  }
  Readers readers(config, data, model, settings.ranks);
  plan.tables.resize(model.tables().table_count());
  ModelRuntime::StepSettings step;
  step.lr_factor = 0.0;
  std::int64_t measured = 0;
  double seconds = 0.0;
  for (std::int64_t i = 0; !enough(measured, seconds); ++i) {
    readers.next();
    StepTimes times;
    const auto begin = Clock::now();
    model.train_step({&readers.batch(), 1}, {&readers.prepared(), 1}, step, times);
    const double whole = seconds_since(begin);
    if (i < kWarmUp) continue;
    add_traffic(model, readers.batch(), readers.prepared(), plan.tables);
    plan.samples = std::max(plan.samples, readers.batch().rows);
    plan.model += times.model;
    plan.update += times.update;
    // What it took to make up rows is no part of a step.
    plan.other += whole - times.lookup - times.model - times.update;
    seconds += whole;
    ++measured;
  }
  // Means, not medians: slow steps are a part of a run too.
  const auto steps = static_cast<double>(measured);
  for (double* const part : {&plan.model, &plan.update, &plan.other}) *part /= steps;
  for (TableTraffic& traffic : plan.tables) {
    traffic.ids /= steps;
    traffic.distinct /= steps;
  }
  predict_tables(model, *data.prepared.vocabularies, settings, plan);
  judge(settings, model.threads(), config.data.reader_threads > 0 ? static_cast<int>(config.data.reader_threads) : 1, plan);
  return plan;
}

}  // namespace rechost
