#include "train/model_runtime.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/cache_line.h"
#include "base/error.h"
#include "base/log.h"
#include "base/philox.h"
#include "base/time.h"
#include "base/trace.h"
#include "config/parse.h"
#include "embedding/gpu_tables.h"
#include "embedding/local_tables.h"
#include "embedding/planned_tables.h"
#include "embedding/sharded_tables.h"
#include "kernels/losses.h"
#include "train/not_finite.h"
#include "train/row_budget.h"
#include "train/row_traffic.h"

namespace rechost {
namespace {

// Purposes of derive_seed: each random thing has a stream of its own.
constexpr std::uint64_t kTableSeed = 1;
constexpr std::uint64_t kDenseSeed = 2;
constexpr std::uint64_t kStepSeed = 3;
constexpr std::uint64_t kNegativeSeed = 4;

Pooling engine_pooling(FeatureInfo::Pooling pooling) {
  switch (pooling) {
    case FeatureInfo::Pooling::kNone:
      return Pooling::kNone;
    case FeatureInfo::Pooling::kSum:
      return Pooling::kSum;
    case FeatureInfo::Pooling::kMean:
      return Pooling::kMean;
  }
  return Pooling::kSum;
}

/// The model's wish, or what [tables] says instead.
Initializer table_initializer(const ModelSpec::Table& table, const TableSection& section, std::int64_t rows) {
  if (!section.init.empty()) {
    if (section.init == "uniform") return {Initializer::Kind::kUniform, -section.init_scale, section.init_scale};
    if (section.init == "normal") return {Initializer::Kind::kNormal, 0.0, section.init_scale};
    return {Initializer::Kind::kConstant, section.init_scale, 0.0};
  }
  const InitializerSpec& wish = table.initializer;
  switch (wish.kind) {
    case InitializerSpec::Kind::kConstant:
      return {Initializer::Kind::kConstant, wish.a, 0.0};
    case InitializerSpec::Kind::kUniform:
      return {Initializer::Kind::kUniform, wish.a, wish.b};
    case InitializerSpec::Kind::kNormal:
      return {Initializer::Kind::kNormal, wish.a, wish.b};
    case InitializerSpec::Kind::kXavierUniform: {
      const double limit = std::sqrt(6.0 / static_cast<double>(rows + table.dim));
      return {Initializer::Kind::kUniform, -limit, limit};
    }
    case InitializerSpec::Kind::kKaimingUniform: {
      const double limit = 1.0 / std::sqrt(static_cast<double>(table.dim));
      return {Initializer::Kind::kUniform, -limit, limit};
    }
    case InitializerSpec::Kind::kPlugin:
      break;
  }
  fail<PluginError>("table \"{}\": a table's rows are filled by the host; the plugin must name an initializer other than PLUGIN", table.name);
}

LossKind head_loss(ModelSpec::Head::Kind kind) {
  switch (kind) {
    case ModelSpec::Head::Kind::kRegression:
      return LossKind::kSquaredError;
    case ModelSpec::Head::Kind::kMulticlass:
      return LossKind::kSoftmaxCrossEntropy;
    default:
      return LossKind::kBinaryCrossEntropy;
  }
}

/// A part of a step: time of the step's thread, and a span of the trace.
class StepPart {
 public:
  StepPart(const char* name, double& seconds) : span_(name), seconds_(seconds), begin_(std::chrono::steady_clock::now()) {}
  ~StepPart() { seconds_ += seconds_since(begin_); }
  StepPart(const StepPart&) = delete;  // ends once
  StepPart& operator=(const StepPart&) = delete;

 private:
  TraceSpan span_;
  double& seconds_;
  std::chrono::steady_clock::time_point begin_;
};

}  // namespace

OptimizerSettings optimizer_settings(const OptimizerSection& section) {
  OptimizerSettings settings;
  settings.kind = optimizer_kind(section.kind);
  settings.lr = section.lr;
  settings.momentum = section.momentum;
  settings.beta1 = section.beta1;
  settings.beta2 = section.beta2;
  settings.eps = section.eps;
  settings.initial_accumulator = section.initial_accumulator;
  settings.weight_decay = section.weight_decay;
  return settings;
}

OptimizerSettings table_optimizer(const Config& config, const TableSection& section) {
  OptimizerSettings settings = optimizer_settings(config.optimizer.sparse);
  if (!section.optimizer.empty()) settings.kind = optimizer_kind(section.optimizer);
  if (section.lr > 0) settings.lr = section.lr;
  return settings;
}

ModelRuntime::ModelRuntime(const Config& config, const Module& module, const ModuleOptions& options, const BatchSchema& schema,
                           std::shared_ptr<const Vocabularies> vocabularies, const Dataset* train, const Settings& settings, ThreadPool& pool)
    : schema_(schema),
      vocabularies_(std::move(vocabularies)),
      model_(module, options),
      regularization_(config.regularization),
      seed_(settings.seed),
      pool_(pool),
      communicator_(settings.communicator != nullptr ? *settings.communicator : single_),
      beside_(settings.beside),
      slice_plan_(plan_slices(settings.deterministic, communicator_)),
      gpu_(settings.gpu),
      trainable_(train != nullptr) {
  std::vector<std::int64_t> table_rows;
  for (const FeatureInfo& feature : schema_.sparse) table_rows.push_back(vocabularies_->at(feature.table).rows());
  const ModelSpec& spec = model_.declare(schema_, table_rows);
  if (trainable_) check_row_budgets(config, spec, schema_, *vocabularies_);
  build_catalogues(train, settings.seed);
  build_tables(config, *vocabularies_, train, settings);
  memory_ = gpu_ != nullptr ? make_gpu_step_memory(spec.heads.size(), gpu_) : make_host_step_memory(spec.heads.size(), pool_);
  dense_ = std::make_unique<DenseParameters>(spec, optimizer_settings(config.optimizer.dense), derive_seed(settings.seed, kDenseSeed), gpu_);
  ModelBinding binding;
  binding.parameters = dense_->parameter_views();
  binding.buffers = dense_->buffer_views();
  binding.initialize = settings.initialize;
  // The sums inside a matrix product depend on how many threads share it.
  binding.threads = settings.deterministic ? 1 : settings.threads;
  binding.bfloat16 = config.run.precision != "fp32";
  if (binding.bfloat16 && !model_.computes_bfloat16()) {
    fail<ConfigError>("run.precision = \"{}\": the model \"{}\" computes in fp32 only; leave run.precision out", config.run.precision, module.id());
  }
  binding.device = memory_->device();
  binding.gradients_ready = [this](std::uint32_t first, std::uint32_t count) {
    if (dense_gradients_) dense_gradients_->ready(first, count);
  };
  model_.bind(binding);
  // The plugin may have written starting values on a stream of its own.
  if (gpu_ != nullptr) gpu_->wait_for_all_streams();
  share_values();
  if (slice_plan_.slices > 1) {
    std::vector<std::int64_t> first_of_parameter;
    for (const ParameterView& view : binding.parameters) first_of_parameter.push_back(view.gradient - dense_->gradients().data());
    DenseWire wire{.precision = row_precision(config.comm.wire_precision)};
    for (const auto& parameter : spec.parameters) wire.parameters.push_back(parameter.name);
    dense_gradients_ = std::make_unique<DenseGradients>(communicator_, slice_plan_, dense_->gradients(), std::move(first_of_parameter), std::move(wire));
    if (!spec.buffers.empty()) buffers_ = std::make_unique<BufferAverage>(communicator_, slice_plan_, dense_->buffer_values());
  }
  step_ = std::make_unique<StepBuilder>(spec, schema_, memory_->device());

  const auto& dense_columns = spec.group(InputGroup::kSamples).dense;
  all_dense_in_order_ = dense_columns.size() == schema_.dense.size();
  for (std::size_t i = 0; i < dense_columns.size() && all_dense_in_order_; ++i) all_dense_in_order_ = dense_columns[i] == i;
  output_spans_.resize(spec.heads.size());
  gradient_spans_.resize(spec.heads.size());
  block_outputs_.resize(spec.block_count());
  gradient_pointers_.resize(spec.block_count());
  if (buffers_ && communicator_.rank() == 0) {
    log_warning("the model normalises over its batch (\"{}\" follows it), and each slice of the batch sees only its own samples: 1 of {} slices",
                spec.buffers.front().name, slice_plan_.slices);
  }
  if (slice_plan_.slices > 1 && communicator_.rank() == 0 && !spec.indexed_entities.empty() && !spec.negatives) {
    log_warning("the loss takes other rows of the batch as negatives, and each slice of the batch sees only its own: 1 of {} slices. Raise "
                "data.batch_size, or use a loss with drawn negatives",
                slice_plan_.slices);
  }
}

/// Values that the plugin has filled in may differ from process to process; all ranks begin with those of rank 0.
void ModelRuntime::share_values() {
  if (communicator_.world_size() == 1) return;
  communicator_.broadcast(std::as_writable_bytes(dense_->values()), 0);
  communicator_.broadcast(std::as_writable_bytes(dense_->buffer_values()), 0);
}

// The plugin's gradients go back before the plugin's model does: members are destroyed in reverse order, and model_ comes first.
ModelRuntime::~ModelRuntime() { block_gradients_.clear(); }

void ModelRuntime::build_catalogues(const Dataset* train, std::uint64_t seed) {
  const ModelSpec& spec = model_.spec();
  if (train == nullptr) return;
  const Dataset* const splits[] = {train};
  std::map<std::string, std::shared_ptr<Catalogue>> made;
  const auto catalogue = [&](const std::string& entity) {
    auto& entry = made[entity];
    if (entry == nullptr) entry = std::make_shared<Catalogue>(entity, splits);
    return entry;
  };
  if (spec.negatives) {
    negatives_catalogue_ = catalogue(spec.negatives->entity);
    const double power = spec.negatives->distribution == ModelSpec::Negatives::Distribution::kUniform ? 0.0 : spec.negatives->power;
    sampler_ = std::make_unique<NegativeSampler>(negatives_catalogue_->counts(), power, derive_seed(seed, kNegativeSeed));
    for (const std::uint32_t wanted : spec.group(InputGroup::kNegatives).dense) {
      const auto& columns = negatives_catalogue_->dense_columns();
      const auto found = std::find(columns.begin(), columns.end(), wanted);
      if (found == columns.end()) {
        fail<ConfigError>("feature \"{}\" is wanted for negatives but does not describe entity \"{}\"", schema_.dense[wanted].name,
                          spec.negatives->entity);
      }
      negative_dense_columns_.push_back(static_cast<std::size_t>(found - columns.begin()));
    }
  }
  if (spec.indexed_entities.size() > 1) {
    fail<ConfigError>("the model asks for numbers of {} entities; one is possible", spec.indexed_entities.size());
  }
  if (!spec.indexed_entities.empty()) {
    indexed_catalogue_ = catalogue(spec.indexed_entities.front());
    // A draw is one of the sampler's where there is one for this entity, else one of a row for the batch: the corrections of a positive and
    // of its negatives must come from one distribution.
    indexed_log_probabilities_ =
        indexed_catalogue_ == negatives_catalogue_ ? sampler_->log_probabilities() : indexed_catalogue_->log_probabilities();
    if (!indexed_log_probabilities_.empty()) {
      rarest_log_probability_ = *std::min_element(indexed_log_probabilities_.begin(), indexed_log_probabilities_.end());
    }
  }
}

RowTraffic ModelRuntime::traffic_of(std::size_t table, std::int64_t rows, const Vocabularies& vocabularies, const Dataset& train, std::int64_t batch_size, int ranks) const {
  const RowCounts* counts = nullptr;
  double readers = 0.0;
  for (const ModelSpec::Embedding& embedding : model_.spec().embeddings) {
    if (embedding.table != table) continue;
    counts = &vocabularies.at(schema_.sparse[embedding.sparse].table).counts();
    ++readers;
  }
  // What was counted says how long lists are as well; else each feature has one id.
  const double counted = counts == nullptr || train.samples() == 0 ? 0.0 : static_cast<double>(counts->total()) / static_cast<double>(train.samples());
  return expected_traffic(counted > 0.0 ? counts : nullptr, rows, static_cast<double>(batch_size) * (counted > 0.0 ? counted : readers), ranks);
}

void ModelRuntime::build_tables(const Config& config, const Vocabularies& vocabularies, const Dataset* train, const Settings& runtime) {
  const ModelSpec& spec = model_.spec();
  std::vector<std::int64_t> rows_needed(spec.tables.size(), 0);
  std::vector<LookupConfig> lookups;
  for (const ModelSpec::Embedding& embedding : spec.embeddings) {
    const FeatureInfo& feature = schema_.sparse[embedding.sparse];
    IdSource source{embedding.group, embedding.sparse, embedding.sparse};
    if (embedding.group == InputGroup::kNegatives) {
      if (!spec.negatives) fail<PluginError>("the model reads \"{}\" for negatives but requested none", feature.name);
      if (negatives_catalogue_ != nullptr) {
        const auto& columns = negatives_catalogue_->sparse_columns();
        const auto found = std::find(columns.begin(), columns.end(), static_cast<std::size_t>(embedding.sparse));
        if (found == columns.end()) {
          fail<ConfigError>("feature \"{}\" is wanted for negatives but does not describe entity \"{}\"", feature.name, spec.negatives->entity);
        }
        source.position = static_cast<std::size_t>(found - columns.begin());
      }
    }
    if (!feature.weights.empty() && embedding.pooling == FeatureInfo::Pooling::kNone) {
      fail<ConfigError>("feature \"{}\": the model reads its list as a sequence, which its weights would have no part in; leave features.{}.weights out",
                        feature.name, feature.name);
    }
    const auto known = std::find_if(id_sources_.begin(), id_sources_.end(),
                                    [&](const IdSource& other) { return other.group == source.group && other.sparse == source.sparse; });
    const auto column = static_cast<std::size_t>(known - id_sources_.begin());
    if (known == id_sources_.end()) id_sources_.push_back(source);
    lookups.push_back({.table = embedding.table, .id_column = column, .pooling = engine_pooling(embedding.pooling)});
    rows_needed[embedding.table] = std::max(rows_needed[embedding.table], vocabularies.at(feature.table).rows());
  }

  std::vector<DynamicFeatures::ColumnSource> columns;
  for (const LookupConfig& lookup : lookups) columns.push_back({lookup.table, lookup.id_column, &schema_.sparse[id_sources_[lookup.id_column].sparse]});
  dynamic_ = std::make_unique<DynamicFeatures>(vocabularies, columns, derive_seed(runtime.seed, kTableSeed));
  if (dynamic_->any() && trainable_ && !runtime.planned_tables) {
    if (gpu_ != nullptr) {
      fail<ConfigError>("features of table \"{}\" have encoder = \"dynamic\", and their rows are given to keys on the CPU: set run.device = \"cpu\", or set another "
                        "encoder for them",
                        dynamic_->all().front()->table());
    }
    if (communicator_.world_size() > 1) dynamic_->exchange_with(*beside_);
  }

  std::vector<TableConfig> tables;
  for (std::size_t i = 0; i < spec.tables.size(); ++i) {
    const ModelSpec::Table& table = spec.tables[i];
    const TableSection section = table_settings(config, table.name);
    TableConfig made;
    made.name = table.name;
    made.dim = table.dim;
    made.rows = section.rows > 0 ? section.rows : table.rows > 0 ? table.rows : rows_needed[i];
    if (made.rows < rows_needed[i]) {
      fail<ConfigError>("table \"{}\" has {} rows but its features need {}: raise tables.\"{}\".rows or leave it out", table.name, made.rows,
                        rows_needed[i], table.name);
    }
    made.precision = row_precision(section.precision);
    made.sharding = sharding_of(section.sharding);
    made.rank = static_cast<int>(std::min<std::int64_t>(section.rank, std::numeric_limits<int>::max()));
    const int ranks = runtime.planned_tables ? runtime.planned_ranks : communicator_.world_size();
    if (train != nullptr && ranks > 1) made.traffic = traffic_of(i, made.rows, vocabularies, *train, config.data.batch_size, ranks);
    if (section.placement == "file") {
      made.file_directory = config.data.temporary_path;
      made.cached_rows = section.cached_rows;
      if (gpu_ != nullptr) fail<ConfigError>("tables.\"{}\".placement = \"file\" is for training on the CPU: set run.device = \"cpu\", or leave it out", table.name);
      if (trainable_ && regularization_.l2_scope == "table" && regularization_.l2_sparse > 0) {
        fail<ConfigError>("tables.\"{}\".placement = \"file\" and regularization.l2_scope = \"table\": every step would read and write the whole file; change one of them", table.name);
      }
    }
    made.initializer = table_initializer(table, section, made.rows);
    if (made.precision == RowPrecision::kInt8 && trainable_) {
      fail<ConfigError>("tables.\"{}\".precision = \"int8\" is for using a trained model (predict, eval, recommend, export), and updates would be lost in it: "
                        "train with fp32, bf16 or fp16",
                        table.name);
    }
    made.optimizer = table_optimizer(config, section);
    if (!trainable_) made.optimizer.kind = OptimizerKind::kSgd;  // a model that is only used needs no state beside its rows
    tables.push_back(std::move(made));
  }

  std::vector<BlockConfig> blocks;
  for (const ModelSpec::Group& group : spec.groups) {
    for (const ModelSpec::Block& block : group.blocks) {
      blocks.push_back({.lookups = std::vector<std::size_t>(block.embeddings.begin(), block.embeddings.end())});
    }
  }
  const std::uint64_t table_seed = derive_seed(runtime.seed, kTableSeed);
  if (runtime.planned_tables) {
    tables_ = std::make_unique<PlannedTables>(std::move(tables), std::move(lookups), std::move(blocks), pool_);
    return;
  }
  if (gpu_ != nullptr) {
    tables_ = std::make_unique<GpuTables>(gpu_, std::move(tables), std::move(lookups), std::move(blocks), table_seed, pool_);
    return;
  }
  if (slice_plan_.slices == 1) {
    tables_ = std::make_unique<LocalTables>(std::move(tables), std::move(lookups), std::move(blocks), table_seed, pool_);
    return;
  }
  ShardedTables::Settings settings;
  settings.communicator = &communicator_;
  settings.slices = static_cast<std::size_t>(slice_plan_.most);
  settings.note_size = settings.slices + 1;
  settings.bytes_per_rank = config.placement.bytes_per_rank();
  settings.ranks_per_node = static_cast<int>(config.placement.ranks_per_node);
  settings.wire_costs = WireCosts::of_speeds(config.placement.within_gb_per_second, config.placement.between_gb_per_second, settings.wire_costs);
  settings.ahead = beside_;
  settings.wire = row_precision(config.comm.wire_precision);
  // The loss is a mean over the batch, so its gradients are about so much smaller than those of a sample.
  if (settings.wire == RowPrecision::kFp16) settings.gradient_scale = std::exp2(std::floor(std::log2(static_cast<float>(config.data.batch_size))));
  tables_ = std::make_unique<ShardedTables>(tables, std::move(lookups), std::move(blocks), table_seed, pool_, settings);
}

void ModelRuntime::set_inputs(StepPhase phase, std::int64_t step, std::uint64_t step_seed, std::uint64_t heads, std::size_t slice,
                              const Batch& batch, const PreparedBatch& prepared) {
  const ModelSpec& spec = model_.spec();
  const EmbeddingEngine& lookups = tables_->lookups();
  // One buffer for all blocks, each at a multiple of 64 bytes.
  std::int64_t floats = 0;
  std::vector<std::int64_t> firsts;
  for (std::size_t block = 0; block < block_outputs_.size(); ++block) {
    firsts.push_back(floats);
    const std::int64_t size = lookups.block_rows(prepared.ids, block) * lookups.block_slots(block) * lookups.block_dim(block);
    floats += (size + kFloatsPerLine - 1) / kFloatsPerLine * kFloatsPerLine;
  }
  float* const blocks = memory_->blocks(floats);
  for (std::size_t block = 0; block < block_outputs_.size(); ++block) block_outputs_[block] = blocks + firsts[block];
  tables_->forward(slice, block_outputs_, pool_);

  // Long enough for both groups before either borrows it.
  const std::size_t offsets_needed = static_cast<std::size_t>(std::max(batch.rows, prepared.negatives.rows)) + 1;
  if (identity_offsets_.size() < offsets_needed) {
    identity_offsets_.resize(offsets_needed);
    std::iota(identity_offsets_.begin(), identity_offsets_.end(), std::int64_t{0});
  }

  step_->begin(phase, step, step_seed, heads);
  std::size_t flat = 0;
  for (const InputGroup which : {InputGroup::kSamples, InputGroup::kNegatives}) {
    const ModelSpec::Group& group = spec.group(which);
    const bool samples = which == InputGroup::kSamples;
    const std::int64_t rows = samples ? batch.rows : prepared.negatives.rows;
    if (rows == 0) {
      flat += group.blocks.size();
      continue;
    }
    const float* dense = nullptr;
    if (!group.dense.empty()) {
      dense = memory_->dense(which, !samples ? prepared.negative_dense : prepared.dense.empty() ? batch.dense : prepared.dense);
    }
    step_->set_rows(which, rows, dense);
    for (std::uint32_t block = 0; block < group.blocks.size(); ++block, ++flat) {
      if (group.blocks[block].sequence) {
        const std::size_t column = [&] {
          const ModelSpec::Embedding& embedding = spec.embeddings[group.blocks[block].embeddings.front()];
          const auto found = std::find_if(id_sources_.begin(), id_sources_.end(), [&](const IdSource& source) {
            return source.group == which && source.sparse == embedding.sparse;
          });
          return static_cast<std::size_t>(found - id_sources_.begin());
        }();
        const std::int64_t* offsets = prepared.columns[column].offsets.data();
        if (prepared.columns[column].offsets.empty()) {
          // Exactly one id a sample: the column carries no offsets, the model wants them.
          offsets = identity_offsets_.data();
        }
        step_->set_sequence(which, block, block_outputs_[flat], offsets);
      } else {
        step_->set_pooled(which, block, block_outputs_[flat]);
      }
    }
  }
  if (!prepared.entity_index.empty()) {
    step_->set_entity(InputGroup::kSamples, prepared.entity_index.data(), prepared.log_probability.data());
  }
  if (prepared.negatives.rows > 0) {
    step_->set_entity(InputGroup::kNegatives, prepared.negative_index.data(), prepared.negative_log_probability.data());
  }
  for (std::size_t head = 0; head < spec.heads.size(); ++head) {
    const bool wanted = ((heads >> head) & 1) != 0;
    const auto size = wanted ? static_cast<std::size_t>(spec.heads[head].output_size(batch.rows)) : 0;
    output_spans_[head] = memory_->make_output(head, size);
  }
}

/// The part of the global batch's loss that one slice makes up; `weight` of `total_weight`.
double ModelRuntime::compute_losses(double weight, double total_weight) {
  const ModelSpec& spec = model_.spec();
  double total = 0.0;
  for (std::size_t i = 0; i < spec.heads.size(); ++i) {
    const ModelSpec::Head& head = spec.heads[i];
    gradient_spans_[i] = {};
    if (!head.trained()) continue;
    if (head.kind == ModelSpec::Head::Kind::kLoss) {
      // The plugin gives the mean over the samples that it sees.
      total += head.weight * memory_->read_output(i)[0] * (weight / total_weight);
      memory_->set_output_gradient(i, static_cast<float>(head.weight * (weight / total_weight)));
    } else {
      total += head.weight * memory_->loss(i, head_loss(head.kind), head.size, *head.label, head.weight / total_weight) / total_weight;
    }
    gradient_spans_[i] = memory_->output_gradient(i);
  }
  return total;
}

void ModelRuntime::fail_not_finite(std::int64_t step, std::span<const Batch> slices) const {
  fail("{}", describe_not_finite({step, model_.spec(), schema_, *vocabularies_, *dense_, *tables_, *dynamic_, *memory_, slices, communicator_}));
}

void ModelRuntime::request(std::span<PreparedBatch> slices, bool ahead, std::int64_t step) const {
  std::vector<double> note(static_cast<std::size_t>(slice_plan_.most), 0.0);
  std::vector<const PreparedIds*> ids;
  for (std::size_t i = 0; i < slices.size(); ++i) {
    note[i] = slices[i].weight;
    ids.push_back(&slices[i].ids);
  }
  RowRequests& requests = slices.front().requests;
  if (ahead) {
    tables_->request_ahead(step, ids, note, requests);
  } else {
    tables_->request(ids, note, requests);
  }
}

/// Gets the rows of all slices; returns the weight of the global batch.
double ModelRuntime::fetch(std::span<PreparedBatch> slices, std::int64_t step) {
  RowRequests& requests = slices.front().requests;
  if (!requests.made) request(slices, false, step);
  double weight = 0.0;
  for (const std::vector<double>& note : requests.notes) weight += std::accumulate(note.begin(), note.end(), 0.0);
  if (!(weight > 0)) fail<DataError>("all samples of step {} have weight 0", step);
  std::vector<const PreparedIds*> ids;
  for (const PreparedBatch& slice : slices) ids.push_back(&slice.ids);
  tables_->fetch(ids, requests);
  return weight;
}

/// Forward, losses and backward of one slice; returns its part of the loss.
double ModelRuntime::train_slice(std::size_t slice, const Batch& batch, const PreparedBatch& prepared, std::int64_t step, double total_weight,
                                 StepTimes& times) {
  const ModelSpec& spec = model_.spec();
  std::uint64_t heads = 0;
  for (std::size_t i = 0; i < spec.heads.size(); ++i) heads |= std::uint64_t{spec.heads[i].trained()} << i;
  std::uint64_t step_seed = derive_seed(derive_seed(seed_, kStepSeed), static_cast<std::uint64_t>(step));
  const auto number = static_cast<std::uint64_t>(slice_plan_.first) + slice;
  if (slice_plan_.slices > 1) step_seed = derive_seed(step_seed, number);
  {
    const StepPart part("lookup", times.lookup);
    set_inputs(StepPhase::kTrain, step, step_seed, heads, slice, batch, prepared);
    memory_->set_labels({batch.labels, batch.rows, static_cast<std::int64_t>(schema_.labels.size()), batch.weights});
    step_->set_labels(memory_->labels(), memory_->weights());
  }
  {
    const StepPart part("forward", times.model);
    model_.forward(*step_, output_spans_);
  }
  double loss = 0.0;
  {
    const StepPart part("loss", times.model);
    loss = compute_losses(prepared.weight, total_weight);
  }
  {
    const StepPart part("backward", times.model);
    model_.backward(*step_, gradient_spans_, block_gradients_);
  }
  const StepPart part("sum gradients", times.update);
  for (std::size_t block = 0; block < gradient_pointers_.size(); ++block) gradient_pointers_[block] = block_gradients_[block];
  tables_->add_gradients(slice, gradient_pointers_, pool_);
  if (dense_gradients_) dense_gradients_->keep(slice);
  return loss;
}

/// note_[1 ...] has the losses of the slices.
void ModelRuntime::exchange_gradients(std::int64_t step, std::span<const Batch> slices, bool stop, StepResult& result) {
  if (dense_gradients_) {
    const TraceSpan span("dense reduce");
    dense_gradients_->reduce();
  }
  const TraceSpan span("gradient exchange");
  note_[0] = stop ? 1.0 : 0.0;
  tables_->exchange_gradients(note_);
  for (const std::vector<double>& note : tables_->notes()) {
    result.stop = result.stop || note[0] != 0.0;
    for (std::size_t i = 1; i < note.size(); ++i) result.loss += note[i];
  }
  if (!std::isfinite(result.loss)) fail_not_finite(step, slices);
}

ModelRuntime::StepResult ModelRuntime::train_step(std::span<const Batch> slices, std::span<PreparedBatch> prepared, const StepSettings& settings,
                                                  StepTimes& times) {
  StepResult result;
  const Traffic before = communicator_.traffic();
  if (dynamic_->any()) {
    // Rows that change hands do so after the update of the step before: until then they belong to its keys.
    const StepPart part("dynamic rows", times.lookup);
    dynamic_->apply(prepared.front().keyed_step, *tables_);
  }
  const bool went_ahead = prepared.front().requests.made;
  {
    const StepPart part("row exchange", times.comm);
    result.weight = fetch(prepared, settings.step);
  }
  note_.assign(static_cast<std::size_t>(slice_plan_.most) + 1, 0.0);
  if (buffers_) buffers_->begin();
  for (std::size_t i = 0; i < slices.size(); ++i) {
    // The last batch of an epoch may have fewer samples than slices. A slice whose samples have no weight has no gradient either.
    if (slices[i].rows == 0 || !(prepared[i].weight > 0)) {
      if (dense_gradients_) dense_gradients_->keep_zeros(i);
      std::fill(gradient_pointers_.begin(), gradient_pointers_.end(), nullptr);
      tables_->add_gradients(i, gradient_pointers_, pool_);
    } else {
      note_[i + 1] = train_slice(i, slices[i], prepared[i], settings.step, result.weight, times);
      if (buffers_) buffers_->keep(i);
    }
  }
  const auto begin = std::chrono::steady_clock::now();
  exchange_gradients(settings.step, slices, settings.stop, result);
  if (buffers_) buffers_->finish();
  times.comm += seconds_since(begin);
  {
    const StepPart part("update", times.update);
    update(settings);
  }
  result.traffic = communicator_.traffic() - before;
  if (went_ahead) result.traffic += prepared.front().requests.traffic;
  return result;
}

void ModelRuntime::update(const StepSettings& settings) {
  EmbeddingEngine::UpdateSettings sparse;
  sparse.step = settings.step;
  sparse.lr_factor = settings.lr_factor;
  sparse.l2 = regularization_.l2_sparse;
  sparse.clip_value = regularization_.clip_value;
  tables_->update(sparse, regularization_.l2_sparse > 0 && regularization_.l2_scope == "table", pool_);
  block_gradients_.clear();
  DenseParameters::UpdateSettings dense;
  dense.step = settings.step;
  dense.lr_factor = settings.lr_factor;
  dense.l2 = regularization_.l2_dense;
  dense.clip_norm = regularization_.clip_norm;
  dense.clip_value = regularization_.clip_value;
  dense_->update(dense, pool_);
}

std::span<const std::span<float>> ModelRuntime::predict(const Batch& batch, const PreparedBatch& prepared, std::uint64_t heads) {
  const PreparedIds* const ids = &prepared.ids;
  {
    const TraceSpan span("row exchange");
    tables_->request(std::span(&ids, 1), {}, requests_);
    tables_->fetch(std::span(&ids, 1), requests_);
  }
  const TraceSpan span("predict");
  set_inputs(StepPhase::kPredict, 0, 0, heads, 0, batch, prepared);
  step_->set_labels(nullptr, nullptr);
  model_.forward(*step_, output_spans_);
  for (std::size_t head = 0; head < output_spans_.size(); ++head) output_spans_[head] = memory_->read_output(head);
  return output_spans_;
}

void ModelRuntime::predict_nothing() {
  tables_->request({}, {}, requests_);
  tables_->fetch({}, requests_);
}

std::uint64_t ModelRuntime::heads_with_labels() const {
  std::uint64_t heads = 0;
  const ModelSpec& spec = model_.spec();
  for (std::size_t i = 0; i < spec.heads.size(); ++i) {
    if (spec.heads[i].label && spec.heads[i].kind != ModelSpec::Head::Kind::kLoss) heads |= std::uint64_t{1} << i;
  }
  return heads;
}

std::uint64_t ModelRuntime::scored_heads() const {
  std::uint64_t heads = 0;
  const ModelSpec& spec = model_.spec();
  for (std::size_t i = 0; i < spec.heads.size(); ++i) {
    const auto kind = spec.heads[i].kind;
    if (kind != ModelSpec::Head::Kind::kLoss && kind != ModelSpec::Head::Kind::kEmbedding) heads |= std::uint64_t{1} << i;
  }
  return heads;
}

std::optional<std::size_t> ModelRuntime::embedding_head(std::string_view entity) const {
  const ModelSpec& spec = model_.spec();
  for (std::size_t i = 0; i < spec.heads.size(); ++i) {
    if (spec.heads[i].kind == ModelSpec::Head::Kind::kEmbedding && spec.heads[i].entity == entity) return i;
  }
  return std::nullopt;
}

}  // namespace rechost
