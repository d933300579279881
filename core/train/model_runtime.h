#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "config/sections.h"
#include "data/batch.h"
#include "data/catalogue.h"
#include "data/negative_sampler.h"
#include "data/pipeline.h"
#include "data/vocabulary.h"
#include "comm/communicator.h"
#include "comm/single_communicator.h"
#include "device/gpu.h"
#include "embedding/embedding_tables.h"
#include "embedding/prepared_ids.h"
#include "plugin/model_instance.h"
#include "train/buffer_average.h"
#include "train/dense_gradients.h"
#include "train/dense_parameters.h"
#include "train/dynamic_features.h"
#include "train/slice_plan.h"
#include "train/step_memory.h"

namespace rechost {

/// What a worker thread makes of a batch ahead of its step.
struct PreparedBatch {
  PreparedIds ids;
  std::vector<std::int64_t> entity_index;   ///< [rows], when the model asked for it
  std::vector<float> log_probability;       ///< [rows], of a draw as in the ABI
  Batch negatives;                          ///< entries of the catalogue; rows = 0 outside training
  std::vector<std::int64_t> negative_index;
  std::vector<float> negative_log_probability;
  std::vector<float> dense;                 ///< dense input of the samples when it is not all of batch.dense, in order
  std::vector<float> negative_dense;
  double weight = 0.0;                      ///< of all samples together
  RowRequests requests;                     ///< of the step, with its first slice: what was made ahead of it

  std::uint64_t memory_bytes() const {
    return ids.memory_bytes() + requests.memory_bytes() + keyed.memory_bytes() + keyed_step.memory_bytes() + rechost::memory_bytes(negatives) +
           (entity_index.size() + negative_index.size() + empty_offsets.size()) * sizeof(std::int64_t) +
           (log_probability.size() + negative_log_probability.size() + dense.size() + negative_dense.size()) * sizeof(float) + drawn.size() * sizeof(std::int32_t);
  }

 private:
  friend class ModelRuntime;
  std::vector<IdColumnView> columns;
  KeyedBatch keyed;
  KeyedStep keyed_step;  ///< of all slices of a training step, in the first of them
  std::vector<std::int32_t> drawn;
  std::vector<std::int64_t> empty_offsets;  ///< [rows + 1] zeros, where prepare_entity() has no ids
};

inline std::uint64_t memory_bytes(std::span<const PreparedBatch> slices) {
  std::uint64_t bytes = 0;
  for (const PreparedBatch& slice : slices) bytes += slice.memory_bytes();
  return bytes;
}

/// Seconds of the step thread, by what it did.
struct StepTimes {
  double comm = 0.0;    ///< exchanges with other ranks, waiting for them included
  double lookup = 0.0;  ///< rows of the tables into blocks
  double model = 0.0;   ///< forward and backward of the plugin, loss between them
  double update = 0.0;  ///< optimizers of tables and dense parameters
};

/// One model with its tables and parameters, ready to compute: what a step needs beside the data.
class ModelRuntime {
 public:
  struct Settings {
    std::uint64_t seed = 1;
    bool initialize = true;  ///< false: values come from a checkpoint
    std::uint32_t threads = 1;
    std::shared_ptr<const Gpu> gpu;  ///< where the model computes, alone and on whole batches; null: the CPU
    bool deterministic = false;           ///< the same bits for any number of ranks and threads, see SlicePlan
    bool planned_tables = false;          ///< to plan a run: the tables take no memory and learn nothing, see PlannedTables
    int planned_ranks = 1;                ///< of the run that is planned
    Communicator* communicator = nullptr;  ///< of all ranks, which make the same model; outlives it. Null: one rank
    Communicator* beside = nullptr;        ///< of the same ranks, for what they exchange ahead of the steps; outlives the model. Null: everything happens in them
  };

  /// `train` gives the catalogues that negatives and entity numbers come from; null when the model is only used: then training is refused.
  /// Throws ConfigError for settings that do not fit the model, PluginError for breaches of the contract.
  ModelRuntime(const Config& config, const Module& module, const ModuleOptions& options, const BatchSchema& schema,
               std::shared_ptr<const Vocabularies> vocabularies, const Dataset* train, const Settings& settings, ThreadPool& pool);
  ~ModelRuntime();
  ModelRuntime(const ModelRuntime&) = delete;  // the plugin refers to its memory
  ModelRuntime& operator=(const ModelRuntime&) = delete;

  const ModelSpec& spec() const { return model_.spec(); }
  const Module& module() const { return model_.module(); }
  const BatchSchema& schema() const { return schema_; }
  EmbeddingTables& tables() { return *tables_; }
  const EmbeddingTables& tables() const { return *tables_; }
  Communicator& communicator() const { return communicator_; }
  bool on_gpu() const { return gpu_ != nullptr; }
  int threads() const { return pool_.size(); }
  int world_size() const { return communicator_.world_size(); }
  const SlicePlan& slice_plan() const { return slice_plan_; }
  DynamicFeatures& dynamic() { return *dynamic_; }
  const DynamicFeatures& dynamic() const { return *dynamic_; }
  DenseParameters& dense() { return *dense_; }
  const DenseParameters& dense() const { return *dense_; }

  /// For use: checks and deduplicates ids; keys of dynamic features become rows. Any thread, each with its own `prepared`.
  void prepare(const Batch& batch, PreparedBatch& prepared) const;
  /// For training: draws negatives and numbers entities as well. The slices of one step that this rank works on. Any thread, likewise. What goes in order of
  /// steps, after begin_training(), `in_order` sees to (null: the caller), and every step must be trained: keys of dynamic features get and lose rows, and
  /// other ranks are told which rows this one wants.
  void prepare_step(std::span<const Batch> slices, std::span<PreparedBatch> prepared, const BatchPipeline::InOrder& in_order = {});
  /// Before the first batch is prepared for training, that of the step after so many; with one rank again where training goes on elsewhere than those
  /// prepared so far.
  void begin_training(std::int64_t steps_done) {
    dynamic_->begin_training();
    tables_->begin_requests(steps_done);
  }
  /// Batches that are being prepared will not be trained: threads that wait for other ranks get CommError. Any thread.
  void end_training() {
    dynamic_->end_training();
    tables_->end_requests();
  }
  /// The same for rows of which only one entity's features are known, such as entries of a catalogue: other id columns are empty bags.
  void prepare_entity(const Catalogue& catalogue, const Batch& entries, PreparedBatch& prepared) const;

  struct StepSettings {
    std::int64_t step = 1;  ///< from 1
    double lr_factor = 1.0;
    bool stop = false;      ///< this rank was asked to stop
  };
  /// Of the global batch, the same on all ranks.
  struct StepResult {
    double loss = 0.0;    ///< weighted over heads, mean over the batch
    double weight = 0.0;  ///< sum of the samples' weights
    bool stop = false;    ///< some rank was asked to stop
    Traffic traffic;      ///< of this rank, for this step: what was exchanged ahead of it included
  };
  /// Forward, losses, backward, updates; all ranks together, each with its slices of the batch (slice_plan().count). Throws Error when the
  /// loss is not finite, naming the step and the first tensor that is not; nothing is updated then.
  StepResult train_step(std::span<const Batch> slices, std::span<PreparedBatch> prepared, const StepSettings& settings, StepTimes& times);

  /// Forward only; all ranks together, each with a batch of its own. Bit i of `heads` wants head i; the outputs stay valid until the next
  /// call.
  std::span<const std::span<float>> predict(const Batch& batch, const PreparedBatch& prepared, std::uint64_t heads);
  /// What a rank calls that has no batch while others predict.
  void predict_nothing();

  /// Heads of some kinds, as a bit mask.
  std::uint64_t heads_with_labels() const;
  std::uint64_t scored_heads() const;  ///< everything but embedding and loss heads
  std::optional<std::size_t> embedding_head(std::string_view entity) const;

  std::uint64_t table_bytes() const { return tables_->memory_bytes(); }
  std::uint64_t dense_bytes() const { return dense_->memory_bytes(); }

 private:
  /// Where an id column of the engine comes from.
  struct IdSource {
    InputGroup group = InputGroup::kSamples;
    std::size_t position = 0;  ///< in BatchSchema::sparse (samples) or the negatives' catalogue schema
    std::size_t sparse = 0;    ///< in BatchSchema::sparse
  };

  void build_tables(const Config& config, const Vocabularies& vocabularies, const Dataset* train, const Settings& settings);
  RowTraffic traffic_of(std::size_t table, std::int64_t rows, const Vocabularies& vocabularies, const Dataset& train, std::int64_t batch_size, int ranks) const;
  void build_catalogues(const Dataset* train, std::uint64_t seed);
  void take_column(const IdColumn& column, std::int64_t rows, std::size_t source, bool counted, PreparedBatch& prepared) const;
  void take_dense(const Batch& batch, PreparedBatch& prepared) const;
  void take_slice(const Batch& batch, int number, PreparedBatch& prepared) const;
  void finish_step(std::span<PreparedBatch> slices) const;
  void prepare_ids(PreparedBatch& prepared) const;
  void add_negatives(const Batch& batch, PreparedBatch& prepared) const;
  void number_entities(const Batch& batch, PreparedBatch& prepared) const;
  void request(std::span<PreparedBatch> slices, bool ahead, std::int64_t step) const;
  double fetch(std::span<PreparedBatch> slices, std::int64_t step);
  void exchange_gradients(std::int64_t step, std::span<const Batch> slices, bool stop, StepResult& result);
  double train_slice(std::size_t slice, const Batch& batch, const PreparedBatch& prepared, std::int64_t step, double total_weight,
                     StepTimes& times);
  void share_values();
  void set_inputs(StepPhase phase, std::int64_t step, std::uint64_t step_seed, std::uint64_t heads, std::size_t slice, const Batch& batch,
                  const PreparedBatch& prepared);
  double compute_losses(double weight, double total_weight);
  void update(const StepSettings& settings);
  [[noreturn]] void fail_not_finite(std::int64_t step, std::span<const Batch> slices) const;

  BatchSchema schema_;
  std::shared_ptr<const Vocabularies> vocabularies_;
  ModelInstance model_;
  RegularizationSection regularization_;
  std::uint64_t seed_;
  ThreadPool& pool_;
  SingleCommunicator single_;
  Communicator& communicator_;
  Communicator* beside_;  ///< null: nothing is exchanged ahead of the steps
  SlicePlan slice_plan_;
  std::vector<IdSource> id_sources_;
  std::shared_ptr<const Gpu> gpu_;
  std::unique_ptr<StepMemory> memory_;
  std::unique_ptr<EmbeddingTables> tables_;
  std::unique_ptr<DynamicFeatures> dynamic_;
  std::unique_ptr<DenseParameters> dense_;
  std::unique_ptr<DenseGradients> dense_gradients_;  ///< null with one slice: there is nothing to add
  std::unique_ptr<BufferAverage> buffers_;           ///< null with one slice, or without buffers
  std::unique_ptr<StepBuilder> step_;
  BlockGradients block_gradients_;

  std::shared_ptr<Catalogue> negatives_catalogue_;
  std::unique_ptr<NegativeSampler> sampler_;
  std::vector<std::size_t> negative_dense_columns_;  ///< positions in the catalogue's dense columns
  std::shared_ptr<Catalogue> indexed_catalogue_;
  std::span<const float> indexed_log_probabilities_;  ///< of the catalogue or the sampler
  float rarest_log_probability_ = 0.0F;
  bool trainable_ = false;
  bool all_dense_in_order_ = false;

  // Reused from step to step; sized by the largest batch so far.
  std::vector<std::int64_t> identity_offsets_;  ///< 0, 1, 2, ...: of features with exactly one id a row
  std::vector<float*> block_outputs_;
  std::vector<std::span<float>> output_spans_;
  std::vector<std::span<const float>> gradient_spans_;
  std::vector<const float*> gradient_pointers_;
  std::vector<double> note_;  ///< what ranks tell each other about a step
  RowRequests requests_;      ///< of predictions
};

/// The settings of one optimizer section, checked.
OptimizerSettings optimizer_settings(const OptimizerSection& section);
/// In training, of one table: [optimizer.sparse], and what [tables] says instead.
OptimizerSettings table_optimizer(const Config& config, const TableSection& section);

}  // namespace rechost
