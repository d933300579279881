#include "plugin/model_instance.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "plugin/host_table.h"
#include "plugin/model_declaration.h"
#include "plugin/step_storage.h"
#include "rechost/model.h"

namespace rechost {

struct ModelInstance::Storage {
  const rh_model_interface* table = nullptr;
  rh_model* model = nullptr;
  std::unique_ptr<ModelDeclaration> declaration;  ///< kept after declare: its builder says so when it is used too late
  std::vector<rh_parameter_view> parameters;
  std::vector<rh_parameter_view> buffers;
  std::function<void(std::uint32_t, std::uint32_t)> gradients_ready;
  std::exception_ptr ready_failure;  ///< what gradients_ready threw, or a wrong range
  std::vector<rh_tensor> outputs;
  std::vector<rh_tensor> output_gradients;
  std::vector<std::array<std::int64_t, 2>> output_shapes;
  std::vector<rh_managed_tensor*> block_gradients;
  std::string label;

  ~Storage() {
    if (model == nullptr) return;
    try {
      guarded(label, "destroy", [&] { table->destroy(model); });
    } catch (const PluginError& error) {
      log_warning("{}", error.what());
    }
  }

  /// The memory of one head, checked against its shape.
  rh_tensor head_tensor(const ModelSpec& spec, std::size_t head, const rh_step& step, const float* data, std::size_t size) {
    const std::int64_t rows = step.inputs->rows;
    const auto expected = static_cast<std::size_t>(spec.heads[head].output_size(rows));
    if (size != 0 && size != expected) fail("head \"{}\": {} elements given, {} expected", spec.heads[head].name, size, expected);
    const bool is_loss = spec.heads[head].kind == ModelSpec::Head::Kind::kLoss;
    output_shapes[head] = {is_loss ? 1 : rows, spec.heads[head].size};
    return float_tensor(size == 0 ? nullptr : data, step.device, output_shapes[head].data(), is_loss ? 1 : 2);
  }

  static void grad_ready(void* context, const rh_step*, std::uint32_t first, std::uint32_t count) {
    auto* self = static_cast<Storage*>(context);
    if (self->ready_failure != nullptr) return;  // backward will throw it; nothing more is reported
    try {
      if (first > self->parameters.size() || count > self->parameters.size() - first) {
        fail<PluginError>("{}: grad_ready: parameters {} to {}; there are {}", self->label, first, std::uint64_t{first} + count,
                          self->parameters.size());
      }
      if (self->gradients_ready) self->gradients_ready(first, count);
    } catch (...) {
      self->ready_failure = std::current_exception();
    }
  }
};

namespace {

std::int64_t element_count(const rh_tensor& tensor) {
  std::int64_t count = 1;
  for (std::int32_t i = 0; i < tensor.ndim; ++i) count *= tensor.shape[i];
  return count;
}

std::string shape_text(const rh_tensor& tensor) {
  std::string text = "[";
  for (std::int32_t i = 0; i < tensor.ndim; ++i) text += fmt::format("{}{}", i == 0 ? "" : ", ", tensor.shape[i]);
  return text + "]";
}

bool is_contiguous(const rh_tensor& tensor) {
  if (tensor.strides == nullptr) return true;
  std::int64_t expected = 1;
  for (std::int32_t i = tensor.ndim - 1; i >= 0; --i) {
    // The stride of a dimension of one element is never used and may be anything.
    if (tensor.shape[i] != 1 && tensor.strides[i] != expected) return false;
    expected *= tensor.shape[i];
  }
  return true;
}

/// Copies a tensor of two or three dimensions with any strides.
void pack(const rh_tensor& tensor, const float* data, std::vector<float>& packed) {
  const std::int64_t middle = tensor.ndim == 3 ? tensor.shape[1] : 1;
  const std::int64_t last = tensor.shape[tensor.ndim - 1];
  const std::int64_t middle_stride = tensor.ndim == 3 ? tensor.strides[1] : 0;
  const std::int64_t last_stride = tensor.strides[tensor.ndim - 1];
  packed.resize(static_cast<std::size_t>(element_count(tensor)));
  float* out = packed.data();
  for (std::int64_t i = 0; i < tensor.shape[0]; ++i) {
    for (std::int64_t j = 0; j < middle; ++j) {
      const float* row = data + i * tensor.strides[0] + j * middle_stride;
      for (std::int64_t k = 0; k < last; ++k) *out++ = row[k * last_stride];
    }
  }
}

/// What is wrong with the gradient of a block; "" when nothing is.
std::string gradient_problem(const rh_tensor& gradient, const rh_tensor& block) {
  if (gradient.dtype.code != RH_DTYPE_FLOAT || gradient.dtype.bits != 32 || gradient.dtype.lanes != 1) {
    return fmt::format("has the dtype (code {}, bits {}, lanes {}), not float32", gradient.dtype.code, gradient.dtype.bits,
                       gradient.dtype.lanes);
  }
  if (gradient.device.type != block.device.type || gradient.device.id != block.device.id) {
    return fmt::format("lies on device {}:{}, the step runs on {}:{}", gradient.device.type, gradient.device.id, block.device.type,
                       block.device.id);
  }
  if (gradient.ndim < 0 || (gradient.ndim > 0 && gradient.shape == nullptr)) return "has no shape";
  if (gradient.ndim != block.ndim || !std::equal(gradient.shape, gradient.shape + gradient.ndim, block.shape)) {
    return fmt::format("has the shape {}, the block has {}", shape_text(gradient), shape_text(block));
  }
  if (gradient.data == nullptr && element_count(gradient) > 0) return "has no data";
  return "";
}

}  // namespace

ModelInstance::ModelInstance(const Module& module, const ModuleOptions& options) : module_(module), storage_(std::make_unique<Storage>()) {
  storage_->label = module.label();
  storage_->table = static_cast<const rh_model_interface*>(module.interface(RH_MODEL_INTERFACE));
  rh_model* model = nullptr;
  throw_if(guarded(module.label(), "create", [&] { return storage_->table->create(host_table(), options.abi(), &model); }), module.id());
  if (model == nullptr) fail<PluginError>("{}: create returned neither a model nor an error", module.label());
  storage_->model = model;
}

ModelInstance::~ModelInstance() = default;

bool ModelInstance::computes_bfloat16() const { return (storage_->table->flags & RH_MODEL_COMPUTES_BFLOAT16) != 0; }
bool ModelInstance::graph_capturable() const { return (storage_->table->flags & RH_MODEL_GRAPH_CAPTURABLE) != 0; }

const ModelSpec& ModelInstance::declare(const BatchSchema& schema, std::span<const std::int64_t> table_rows) {
  storage_->declaration = std::make_unique<ModelDeclaration>(schema, table_rows);
  ModelDeclaration& declaration = *storage_->declaration;
  rh_error* error = guarded(module_.label(), "declare",
                            [&] { return storage_->table->declare(storage_->model, declaration.schema(), declaration.builder()); });
  if (!declaration.problem().empty()) {
    host_table()->error_free(error);
    fail<PluginError>("{}: {}", module_.label(), declaration.problem());
  }
  throw_if(error, module_.id());
  try {
    spec_ = declaration.finish();
  } catch (const PluginError& problem) {
    fail<PluginError>("{}: {}", module_.label(), problem.what());
  }
  storage_->outputs.resize(spec_.heads.size());
  storage_->output_gradients.resize(spec_.heads.size());
  storage_->output_shapes.resize(spec_.heads.size());
  storage_->block_gradients.resize(spec_.block_count());
  return spec_;
}

void ModelInstance::bind(const ModelBinding& binding) {
  if (binding.parameters.size() != spec_.parameters.size() || binding.buffers.size() != spec_.buffers.size()) {
    fail("{} parameters and {} buffers to bind, {} and {} were declared", binding.parameters.size(), binding.buffers.size(),
         spec_.parameters.size(), spec_.buffers.size());
  }
  const auto views = [](const std::vector<ParameterView>& given, const std::vector<ModelSpec::Parameter>& declared) {
    std::vector<rh_parameter_view> result;
    for (std::size_t i = 0; i < given.size(); ++i) {
      result.push_back({given[i].value, given[i].gradient, static_cast<std::uint64_t>(declared[i].size)});
    }
    return result;
  };
  storage_->parameters = views(binding.parameters, spec_.parameters);
  storage_->buffers = views(binding.buffers, spec_.buffers);
  storage_->gradients_ready = binding.gradients_ready;
  std::vector<rh_embedding_placement> placements;
  for (const ModelSpec::Embedding& embedding : spec_.embeddings) {
    placements.push_back({static_cast<std::uint32_t>(embedding.group), embedding.block, embedding.slot, 0});
  }
  const rh_binding abi{.struct_size = sizeof(rh_binding),
                       .parameter_count = static_cast<std::uint32_t>(storage_->parameters.size()),
                       .parameters = storage_->parameters.data(),
                       .buffers = storage_->buffers.data(),
                       .buffer_count = static_cast<std::uint32_t>(storage_->buffers.size()),
                       .embedding_count = static_cast<std::uint32_t>(placements.size()),
                       .embeddings = placements.data(),
                       .initialize = binding.initialize ? 1u : 0u,
                       .threads = binding.threads,
                       .context = storage_.get(),
                       .grad_ready = &Storage::grad_ready,
                       .device = abi_device(binding.device),
                       .compute = binding.bfloat16 ? RH_COMPUTE_BFLOAT16 : RH_COMPUTE_FLOAT32,
                       .reserved = 0};
  throw_if(guarded(module_.label(), "bind", [&] { return storage_->table->bind(storage_->model, &abi); }), module_.id());
}

void ModelInstance::forward(const StepBuilder& builder, std::span<const std::span<float>> outputs) {
  const rh_step& step = builder.storage_->step;
  if (outputs.size() != spec_.heads.size()) fail("{} outputs for {} heads", outputs.size(), spec_.heads.size());
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    storage_->outputs[i] = storage_->head_tensor(spec_, i, step, outputs[i].data(), outputs[i].size());
    const bool wanted = ((step.heads >> i) & 1) != 0;
    if (wanted && outputs[i].empty() && spec_.heads[i].output_size(step.inputs->rows) > 0) {
      fail("head \"{}\" is wanted, but has no memory for its output", spec_.heads[i].name);
    }
  }
  throw_if(guarded(module_.label(), "forward", [&] { return storage_->table->forward(storage_->model, &step, storage_->outputs.data()); }),
           module_.id());
}

void ModelInstance::backward(const StepBuilder& builder, std::span<const std::span<const float>> output_gradients,
                             BlockGradients& gradients) {
  const rh_step& step = builder.storage_->step;
  if (output_gradients.size() != spec_.heads.size()) fail("{} output gradients for {} heads", output_gradients.size(), spec_.heads.size());
  for (std::size_t i = 0; i < output_gradients.size(); ++i) {
    storage_->output_gradients[i] = storage_->head_tensor(spec_, i, step, output_gradients[i].data(), output_gradients[i].size());
  }
  gradients.clear();
  std::vector<rh_managed_tensor*>& handed = storage_->block_gradients;
  std::fill(handed.begin(), handed.end(), nullptr);
  storage_->ready_failure = nullptr;
  rh_error* error = guarded(module_.label(), "backward", [&] {
    return storage_->table->backward(storage_->model, &step, storage_->output_gradients.data(), handed.data());
  });
  // A failure of the host's own callback is the cause of whatever the plugin made of it.
  if (error != nullptr && storage_->ready_failure == nullptr) throw_if(error, module_.id());
  host_table()->error_free(error);
  if (error == nullptr) take_gradients(builder, gradients);
  if (storage_->ready_failure != nullptr) std::rethrow_exception(std::exchange(storage_->ready_failure, nullptr));
}

void ModelInstance::take_gradients(const StepBuilder& builder, BlockGradients& gradients) {
  std::vector<rh_managed_tensor*>& handed = storage_->block_gradients;
  BlockGradients::Storage& kept = *gradients.storage_;
  kept.owned.resize(handed.size(), nullptr);
  kept.data.resize(handed.size(), nullptr);
  kept.packed.resize(handed.size());
  const auto name = [&](std::size_t i) { return fmt::format("{}: block_gradients[{}]", module_.label(), i); };
  // First all that can be given back belongs to `gradients`; what is wrong with one of them must not leak the others.
  std::string ownerless;
  for (std::size_t i = 0; i < handed.size(); ++i) {
    if (handed[i] == nullptr) continue;
    const auto twin = std::find(handed.begin(), handed.begin() + static_cast<std::ptrdiff_t>(i), handed[i]);
    std::string problem;
    if (twin != handed.begin() + static_cast<std::ptrdiff_t>(i)) {
      problem = fmt::format("is the same tensor as block_gradients[{}]", twin - handed.begin());
    } else if (handed[i]->version_major != 1) {
      problem = fmt::format("has version {}.{}, not 1", handed[i]->version_major, handed[i]->version_minor);
    } else if (handed[i]->deleter == nullptr) {
      problem = "has no deleter";
    } else {
      kept.owned[i] = handed[i];
    }
    if (!problem.empty() && ownerless.empty()) ownerless = fmt::format("{} {}", name(i), problem);
  }
  if (!ownerless.empty()) throw PluginError(ownerless);
  std::size_t index = 0;
  for (const StepBuilder::Storage::Group& group : builder.storage_->groups) {
    for (const rh_embedding_block& block : group.blocks) {
      const std::size_t i = index++;
      if (handed[i] == nullptr) continue;
      const rh_tensor& tensor = handed[i]->tensor;
      const std::string problem = gradient_problem(tensor, block.rows);
      if (!problem.empty()) fail<PluginError>("{} {}", name(i), problem);
      const auto* data = reinterpret_cast<const float*>(static_cast<const char*>(tensor.data) + tensor.byte_offset);
      if (element_count(tensor) == 0) data = nullptr;
      if (data != nullptr && !is_contiguous(tensor)) {
        if (tensor.device.type != RH_DEVICE_CPU) fail<PluginError>("{} is not contiguous", name(i));
        pack(tensor, data, kept.packed[i]);
        data = kept.packed[i].data();
      }
      kept.data[i] = data;
    }
  }
}

BlockGradients::BlockGradients() : storage_(std::make_unique<Storage>()) {}
BlockGradients::~BlockGradients() {
  if (storage_ != nullptr) clear();
}
BlockGradients::BlockGradients(BlockGradients&&) noexcept = default;
BlockGradients& BlockGradients::operator=(BlockGradients&& other) noexcept {
  std::swap(storage_, other.storage_);
  return *this;
}

std::size_t BlockGradients::size() const { return storage_->data.size(); }
const float* BlockGradients::operator[](std::size_t block) const { return storage_->data[block]; }

void BlockGradients::clear() {
  for (rh_managed_tensor*& tensor : storage_->owned) {
    if (tensor != nullptr) tensor->deleter(tensor);
    tensor = nullptr;
  }
  std::fill(storage_->data.begin(), storage_->data.end(), nullptr);
}

}  // namespace rechost
