#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/batch.h"
#include "plugin/library.h"
#include "plugin/options.h"

namespace rechost {

/// Which rows an input belongs to: the samples of the batch, or the negatives drawn by the host. Numbers as in the ABI.
enum class InputGroup : std::uint32_t { kSamples = 0, kNegatives = 1 };
inline constexpr std::size_t kInputGroups = 2;

struct InitializerSpec {
  enum class Kind { kConstant, kUniform, kNormal, kXavierUniform, kKaimingUniform, kPlugin };
  Kind kind = Kind::kConstant;
  double a = 0.0;  ///< constant: the value; uniform: lower end; normal: mean
  double b = 0.0;  ///< uniform: upper end; normal: standard deviation
};

/// What the model asked for in declare. All indices count from 0 in the order of the plugin's calls.
struct ModelSpec {
  struct Table {
    std::string name;
    std::int64_t rows = 0;  ///< 0: from data
    std::int64_t dim = 0;
    InitializerSpec initializer;
  };
  struct Embedding {
    InputGroup group = InputGroup::kSamples;
    std::string feature;
    std::uint32_t sparse = 0;  ///< index of the feature in BatchSchema::sparse
    std::uint32_t table = 0;
    FeatureInfo::Pooling pooling = FeatureInfo::Pooling::kSum;
    // Where it arrives (filled by the host): Group::blocks[block], slot `slot` of a pooled block.
    std::uint32_t block = 0;
    std::uint32_t slot = 0;
  };
  struct Parameter {
    std::string name;
    std::vector<std::int64_t> shape;
    std::int64_t size = 1;  ///< product of the shape
    InitializerSpec initializer;
    bool decay = false;
  };
  struct Head {
    enum class Kind { kBinary, kRegression, kMulticlass, kMultilabel, kEmbedding, kLoss, kScore };
    Kind kind = Kind::kBinary;
    std::string name;
    std::optional<std::uint32_t> label;  ///< index in BatchSchema::labels
    std::string entity;
    std::int64_t size = 1;
    double weight = 1.0;
    bool cosine = false;  ///< embedding: vectors already have length 1; else they compare by dot product

    bool trained() const { return kind != Kind::kEmbedding && kind != Kind::kScore; }
    /// Elements of its output for `rows` samples.
    std::int64_t output_size(std::int64_t rows) const { return kind == Kind::kLoss ? 1 : rows * size; }
  };
  struct Negatives {
    enum class Distribution { kUniform, kFrequency };
    Distribution distribution = Distribution::kUniform;
    std::string entity;
    std::int64_t per_sample = 0;  ///< rows of the group = batch * per_sample ...
    std::int64_t per_batch = 0;   ///< ... or this many for the whole batch
    double power = 1.0;

    std::int64_t rows(std::int64_t batch_rows) const { return per_sample > 0 ? batch_rows * per_sample : per_batch; }
  };
  /// Pooled: [rows, slots, dim], all pooled embeddings of the group with this dim, in order of first appearance of the dim.
  /// Sequence: [offsets[rows], dim], one embedding.
  struct Block {
    bool sequence = false;
    std::int64_t dim = 0;
    std::vector<std::uint32_t> embeddings;  ///< by slot
  };
  struct Group {
    std::vector<std::uint32_t> dense;  ///< columns of the dense input, as indices in BatchSchema::dense
    std::vector<Block> blocks;
  };

  std::array<Group, kInputGroups> groups;
  std::vector<Table> tables;
  std::vector<Embedding> embeddings;
  std::vector<Parameter> parameters;
  std::vector<Parameter> buffers;
  std::vector<Head> heads;
  std::optional<Negatives> negatives;
  std::vector<std::string> indexed_entities;  ///< for which entity_index and log_probability are wanted in train steps

  const Group& group(InputGroup which) const { return groups[static_cast<std::size_t>(which)]; }
  bool uses(InputGroup which) const { return !group(which).dense.empty() || !group(which).blocks.empty(); }
  std::size_t block_count() const { return groups[0].blocks.size() + groups[1].blocks.size(); }
};

/// Where a step's tensors lie.
struct StepDevice {
  bool cuda = false;
  std::int32_t id = 0;
  void* stream = nullptr;  ///< cudaStream_t; null on CPU
};

enum class StepPhase { kTrain, kEval, kPredict };

/// The inputs of one step, in the ABI's form. Made once per model and refilled each step without allocating: begin(), then set what there
/// is. All memory is borrowed until backward returns (without backward: until forward returns) and nobody may write to it meanwhile.
class StepBuilder {
 public:
  StepBuilder(const ModelSpec& spec, const BatchSchema& schema, StepDevice device = {});
  ~StepBuilder();
  StepBuilder(StepBuilder&&) noexcept;
  StepBuilder& operator=(StepBuilder&&) noexcept;

  /// Forgets the last step's inputs. `heads`: bit i wants head i. A group that is not set has 0 rows.
  void begin(StepPhase phase, std::int64_t global_step, std::uint64_t seed, std::uint64_t heads);
  /// RH_STEP_CAPTURING, RH_STEP_WARM_UP.
  void set_capturing(bool capturing, bool warm_up);
  /// `dense` [rows, dense columns of the group] float32; null when the group has none.
  void set_rows(InputGroup group, std::int64_t rows, const float* dense);
  /// `rows` [group rows, slots, dim] float32; null when no wanted head needs it. Call after set_rows.
  void set_pooled(InputGroup group, std::uint32_t block, const float* rows);
  /// `rows` [offsets[group rows], dim] float32; `offsets` [group rows + 1] in host memory.
  void set_sequence(InputGroup group, std::uint32_t block, const float* rows, const std::int64_t* offsets);
  /// `labels` [rows, labels of the schema]; `weights` [rows] or null. Of the samples.
  void set_labels(const float* labels, const float* weights);
  /// Host memory [group rows]; see request_entity_index in the ABI.
  void set_entity(InputGroup group, const std::int64_t* entity_index, const float* log_probability);

 private:
  friend class ModelInstance;
  struct Storage;
  std::unique_ptr<Storage> storage_;
};

/// What backward handed over: one gradient per block, the blocks of the samples first, then those of the negatives. Gives the memory back
/// to the plugin when cleared or destroyed; keep the model alive until then. Reuse one object for all steps.
class BlockGradients {
 public:
  BlockGradients();
  ~BlockGradients();
  BlockGradients(BlockGradients&&) noexcept;
  BlockGradients& operator=(BlockGradients&&) noexcept;

  std::size_t size() const;
  /// Contiguous float32 in the block's shape, on the step's device; null: all zero.
  const float* operator[](std::size_t block) const;
  void clear();

 private:
  friend class ModelInstance;
  struct Storage;
  std::unique_ptr<Storage> storage_;
};

/// Memory of one parameter or buffer.
struct ParameterView {
  float* value = nullptr;
  float* gradient = nullptr;  ///< null for buffers
};

struct ModelBinding {
  std::vector<ParameterView> parameters;  ///< by index; the memory outlives the model
  std::vector<ParameterView> buffers;
  bool initialize = true;  ///< false: the values come from a checkpoint
  std::uint32_t threads = 1;
  bool bfloat16 = false;  ///< products of dense layers read bfloat16; only for a model that computes_bfloat16()
  /// Gradients of parameters [first, first + count) are final. Called during backward, from a thread of the plugin's choice but one at a
  /// time; what it throws is rethrown by backward. Empty: not wanted.
  std::function<void(std::uint32_t first, std::uint32_t count)> gradients_ready;
  StepDevice device;  ///< where parameters and buffers lie
};

/// One model of a plugin, through its life: constructor (create) -> declare -> bind -> { forward, backward } x n -> destructor (destroy).
/// Every breach of the contract by the plugin is a PluginError that names plugin and field.
class ModelInstance {
 public:
  /// Throws ConfigError or PluginError as the plugin says.
  ModelInstance(const Module& module, const ModuleOptions& options);
  ~ModelInstance();
  ModelInstance(const ModelInstance&) = delete;  // one owner of the plugin's object
  ModelInstance& operator=(const ModelInstance&) = delete;

  const Module& module() const { return module_; }

  /// `table_rows[i]`: rows that the table of schema.sparse[i] needs, out-of-vocabulary row included.
  const ModelSpec& declare(const BatchSchema& schema, std::span<const std::int64_t> table_rows);
  const ModelSpec& spec() const { return spec_; }
  bool graph_capturable() const;
  bool computes_bfloat16() const;

  void bind(const ModelBinding& binding);

  /// `outputs[i]` receives head i, with exactly output_size(rows) elements; empty for a head that is not wanted.
  void forward(const StepBuilder& step, std::span<const std::span<float>> outputs);

  /// `output_gradients[i]` = d(loss)/d(outputs[i]), of the same size; empty: head i takes no part. Writes parameter gradients through the
  /// views of bind and fills `gradients`.
  void backward(const StepBuilder& step, std::span<const std::span<const float>> output_gradients, BlockGradients& gradients);

 private:
  struct Storage;
  void take_gradients(const StepBuilder& step, BlockGradients& gradients);

  Module module_;
  ModelSpec spec_;
  std::unique_ptr<Storage> storage_;
};

}  // namespace rechost
