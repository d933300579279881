#include "base/error.h"
#include "plugin/model_instance.h"
#include "plugin/step_storage.h"
#include "rechost/model.h"

namespace rechost {
namespace {

std::size_t index_of(InputGroup group) { return static_cast<std::size_t>(group); }

}  // namespace

StepBuilder::StepBuilder(const ModelSpec& spec, const BatchSchema& schema, StepDevice device) : storage_(std::make_unique<Storage>()) {
  const rh_device where = abi_device(device);
  rh_step& step = storage_->step;
  step.struct_size = sizeof(step);
  step.device = where;
  step.stream = device.stream;
  step.inputs = storage_->inputs.data();
  step.group_count = kInputGroups;
  step.inputs_stride = sizeof(rh_inputs);
  for (std::size_t g = 0; g < kInputGroups; ++g) {
    Storage::Group& group = storage_->groups[g];
    rh_inputs& inputs = storage_->inputs[g];
    const std::vector<ModelSpec::Block>& blocks = spec.groups[g].blocks;
    group.blocks.resize(blocks.size());
    group.block_shapes.resize(blocks.size());
    group.dense_shape = {0, static_cast<std::int64_t>(spec.groups[g].dense.size())};
    group.label_shape = {0, static_cast<std::int64_t>(schema.labels.size())};
    for (std::size_t b = 0; b < blocks.size(); ++b) {
      std::array<std::int64_t, 3>& shape = group.block_shapes[b];
      if (blocks[b].sequence) {
        shape = {0, blocks[b].dim, 0};
      } else {
        shape = {0, static_cast<std::int64_t>(blocks[b].embeddings.size()), blocks[b].dim};
      }
      rh_embedding_block& block = group.blocks[b];
      block.struct_size = sizeof(block);
      block.kind = blocks[b].sequence ? RH_BLOCK_SEQUENCE : RH_BLOCK_POOLED;
      block.rows = float_tensor(nullptr, where, shape.data(), blocks[b].sequence ? 2 : 3);
    }
    inputs.struct_size = sizeof(inputs);
    inputs.block_count = static_cast<std::uint32_t>(blocks.size());
    inputs.blocks = group.blocks.data();
    inputs.block_stride = sizeof(rh_embedding_block);
    inputs.dense = float_tensor(nullptr, where, group.dense_shape.data(), 2);
    inputs.labels = float_tensor(nullptr, where, group.label_shape.data(), 2);
    inputs.weights = float_tensor(nullptr, where, group.weight_shape.data(), 1);
  }
}

StepBuilder::~StepBuilder() = default;
StepBuilder::StepBuilder(StepBuilder&&) noexcept = default;
StepBuilder& StepBuilder::operator=(StepBuilder&&) noexcept = default;

void StepBuilder::begin(StepPhase phase, std::int64_t global_step, std::uint64_t seed, std::uint64_t heads) {
  rh_step& step = storage_->step;
  step.phase = static_cast<std::uint32_t>(phase) + RH_PHASE_TRAIN;
  step.global_step = global_step;
  step.seed = seed;
  step.flags = 0;
  step.heads = heads;
  for (std::size_t g = 0; g < kInputGroups; ++g) {
    rh_inputs& inputs = storage_->inputs[g];
    set_rows(static_cast<InputGroup>(g), 0, nullptr);
    for (std::size_t b = 0; b < storage_->groups[g].blocks.size(); ++b) {
      rh_embedding_block& block = storage_->groups[g].blocks[b];
      block.rows.data = nullptr;
      block.offsets = nullptr;
      if (block.kind == RH_BLOCK_SEQUENCE) storage_->groups[g].block_shapes[b][0] = 0;
    }
    inputs.labels.data = nullptr;
    inputs.weights.data = nullptr;
    inputs.entity_index = nullptr;
    inputs.log_probability = nullptr;
  }
}

void StepBuilder::set_capturing(bool capturing, bool warm_up) {
  storage_->step.flags = (capturing ? RH_STEP_CAPTURING : 0) | (warm_up ? RH_STEP_WARM_UP : 0);
}

void StepBuilder::set_rows(InputGroup group, std::int64_t rows, const float* dense) {
  Storage::Group& arrays = storage_->groups[index_of(group)];
  rh_inputs& inputs = storage_->inputs[index_of(group)];
  inputs.rows = rows;
  inputs.dense.data = const_cast<float*>(dense);
  arrays.dense_shape[0] = rows;
  arrays.label_shape[0] = rows;
  arrays.weight_shape[0] = rows;
  for (std::size_t b = 0; b < arrays.blocks.size(); ++b) {
    if (arrays.blocks[b].kind == RH_BLOCK_POOLED) arrays.block_shapes[b][0] = rows;
  }
}

void StepBuilder::set_pooled(InputGroup group, std::uint32_t block, const float* rows) {
  rh_embedding_block& target = storage_->groups[index_of(group)].blocks.at(block);
  if (target.kind != RH_BLOCK_POOLED) fail("block {} of group {} is a sequence", block, index_of(group));
  target.rows.data = const_cast<float*>(rows);
}

void StepBuilder::set_sequence(InputGroup group, std::uint32_t block, const float* rows, const std::int64_t* offsets) {
  rh_embedding_block& target = storage_->groups[index_of(group)].blocks.at(block);
  if (target.kind != RH_BLOCK_SEQUENCE) fail("block {} of group {} is pooled", block, index_of(group));
  target.rows.data = const_cast<float*>(rows);
  target.offsets = offsets;
  storage_->groups[index_of(group)].block_shapes[block][0] = offsets[storage_->inputs[index_of(group)].rows];
}

void StepBuilder::set_labels(const float* labels, const float* weights) {
  rh_inputs& inputs = storage_->inputs[index_of(InputGroup::kSamples)];
  inputs.labels.data = const_cast<float*>(labels);
  inputs.weights.data = const_cast<float*>(weights);
}

void StepBuilder::set_entity(InputGroup group, const std::int64_t* entity_index, const float* log_probability) {
  rh_inputs& inputs = storage_->inputs[index_of(group)];
  inputs.entity_index = entity_index;
  inputs.log_probability = log_probability;
}

}  // namespace rechost
