// Models as torch::nn modules. An author writes a class and one line:
//
//   struct Mine : rechost::TorchModel {
//     static std::vector<rechost::Option> options();
//     Mine(const rechost::Config& config, const rechost::Schema& schema, rechost::Spec& spec);   // declares, registers modules
//     void forward(const rechost::Inputs& in, rechost::Outputs& out) override;
//   };
//   RECHOST_PLUGIN("mine", "1.0.0", rechost::torch_model<Mine>("mine", "one line about it"))
//
// The rest is done here: parameters live in the host's memory, autograd runs in the plugin, gradients land where the host
// expects them and are reported as each is final, no exception leaves. A plugin built so is tied to its LibTorch version.
#ifndef RECHOST_CXX_TORCH_MODEL_HPP
#define RECHOST_CXX_TORCH_MODEL_HPP

#include "rechost/cxx/model.hpp"
#include "rechost/cxx/torch_step.hpp"

#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>
#include <torch/nn/module.h>

#include <dlfcn.h>

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

namespace rechost {
inline namespace v1_0 __attribute__((visibility("hidden"))) {

// What an author derives from. The constructor runs when the host asks what the model wants.
class TorchModel : public torch::nn::Module {
 public:
  virtual void forward(const Inputs& in, Outputs& out) = 0;
};

// what() of a c10::Error carries a C++ backtrace, which tells a user of rechost nothing.
inline Failure describe_torch_exception() {
  try {
    throw;
  } catch (const c10::OutOfMemoryError& error) {
    return {ErrorCode::kDevice, error.what_without_backtrace()};
  } catch (const c10::Error& error) {
    return {ErrorCode::kFailed, error.what_without_backtrace()};
  } catch (...) {
    return describe_exception();
  }
}

namespace detail {

// One trainable tensor of the module and the host's memory for it.
struct Parameter {
  std::string name;
  at::Tensor tensor;
  at::Tensor host_gradient;
  bool lent = false;   // the host's memory was given to somebody who makes the gradient there
  bool ready = false;  // its gradient of the step in progress is final
};

// How gradients get from autograd to the host. Shared by the hooks of all parameters.
struct GradientSink {
  std::vector<Parameter> parameters;
  void (*grad_ready)(void*, const rh_step*, uint32_t, uint32_t) = nullptr;
  void* context = nullptr;
  const rh_step* step = nullptr;

  // Autograd hands its freshly computed tensor over without a copy when .grad is empty, so one copy into the host's memory, while
  // the values are in cache, is the cheapest way there: a preset .grad would have to be zeroed and added to.
  void take(uint32_t index) {
    Parameter& parameter = parameters[index];
    const at::Tensor& gradient = parameter.tensor.grad();
    if (gradient.const_data_ptr() != parameter.host_gradient.const_data_ptr()) parameter.host_gradient.copy_(gradient);
    parameter.tensor.mutable_grad().reset();
    finish(index);
  }

  // The host's memory for the first who asks in a step. Autograd adds the gradients of several uses up in memory of its own, or in that of
  // the first; both end in the host's.
  at::Tensor lend(uint32_t index) {
    Parameter& parameter = parameters[index];
    if (std::exchange(parameter.lent, true)) return at::empty_like(parameter.host_gradient);
    return parameter.host_gradient.detach();
  }

  // Parameters that the wanted heads did not use: the host expects every gradient to be overwritten.
  void zero_the_rest() {
    for (uint32_t index = 0; index < parameters.size(); ++index) {
      if (!parameters[index].ready) {
        parameters[index].host_gradient.zero_();
        finish(index);
      }
    }
  }

  void finish(uint32_t index) {
    parameters[index].ready = true;
    if (grad_ready != nullptr) grad_ready(context, step, index, 1);
  }
};

// Autograd sums all uses of a parameter before it accumulates, so this runs once per parameter and backward pass.
class GradientHook : public torch::autograd::PostAccumulateGradHook {
 public:
  GradientHook(GradientSink& sink, uint32_t index) : sink_(sink), index_(index) {}
  void operator()(const torch::autograd::Variable&) override {
    const at::NoGradGuard no_grad;
    sink_.take(index_);
  }
  at::Tensor lend() { return sink_.lend(index_); }

 private:
  GradientSink& sink_;
  uint32_t index_;
};

// LibTorch's CUDA half is a library of its own that the plugin does not link, so that one plugin file serves machines with
// and without it. It must come in before torch is first asked about CUDA: after a "no" torch never looks again.
inline void require_cuda() {
  static std::once_flag once;
  static std::string problem;
  std::call_once(once, [] {
    // Local scope: its operators register themselves with the libtorch_cpu that is already here.
    if (dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_LOCAL) == nullptr) problem = dlerror();
  });
  if (!problem.empty())
    throw Error(ErrorCode::kDevice, "this LibTorch cannot use CUDA (" + problem + "): install its CUDA part or run with device = \"cpu\"");
}

// Integer and boolean buffers of one element are counters (num_batches_tracked) and are kept as float32, exact up to 2^24, so that
// a checkpoint holds them. Larger ones are index tables, which the constructor makes again.
inline bool is_state(const at::Tensor& buffer) { return buffer.is_floating_point() || buffer.numel() == 1; }

}  // namespace detail

// For backward functions of one's own: memory for the gradient of `parameter` [its shape], to be written whole and returned. It is the
// host's where that is possible, which spares copying it there.
inline at::Tensor gradient_memory(const at::Tensor& parameter) {
  const auto& hook = torch::autograd::impl::post_acc_grad_hooks(parameter);
  auto* const own = dynamic_cast<detail::GradientHook*>(hook.get());
  return own != nullptr ? own->lend() : at::empty_like(parameter);
}

// One model instance behind rh_model*.
template <class Model>
class TorchModelInstance {
 public:
  explicit TorchModelInstance(const rh_config& config) : config_(config) {}
  TorchModelInstance(const TorchModelInstance&) = delete;  // hooks point into it
  TorchModelInstance& operator=(const TorchModelInstance&) = delete;

  void declare(const rh_data_schema& given_schema, const rh_spec_builder& builder) {
    const Schema schema(given_schema);
    Spec spec(schema, builder);
    {
      const RandomScope random(config_.seed(), at::Device(at::kCPU));
      model_ = std::make_shared<Model>(config_, schema, spec);
    }
    heads_ = spec.heads();
    for (std::size_t index = 0; index < schema.labels().size(); ++index) labels_.push_back(schema.labels()[index].name);

    // A module used twice lists its parameters twice.
    std::unordered_set<const void*> seen;
    for (const auto& entry : model_->named_parameters()) {
      if (!seen.insert(entry.value().unsafeGetTensorImpl()).second || !entry.value().requires_grad()) continue;
      if (entry.value().scalar_type() != at::kFloat)
        throw Error("parameter '" + entry.key() + "' is not float32, the only type that the host keeps");
      // Weight decay is for matrices; biases and normalisation scales go without, as is usual.
      spec.parameter(entry.key(), entry.value().sizes().vec(), entry.value().dim() >= 2);
      sink_.parameters.push_back({entry.key(), entry.value(), {}, false});
    }
    for (const auto& entry : model_->named_buffers()) {
      if (!detail::is_state(entry.value()) || !seen.insert(entry.value().unsafeGetTensorImpl()).second) continue;
      spec.buffer(entry.key(), entry.value().sizes().vec());
      buffers_.push_back(entry.value());
    }
  }

  void bind(const rh_binding& binding) {
    check_count("parameters", binding.parameter_count, sink_.parameters.size());
    check_count("buffers", binding.buffer_count, buffers_.size());
    threads_ = static_cast<int>(std::max<uint32_t>(1, binding.threads));
    // Hosts older than the field have no other device than the CPU.
    const bool cuda = RH_HAS(&binding, device) && binding.device.type == RH_DEVICE_CUDA;
    if (cuda) detail::require_cuda();
    const at::Device device = cuda ? at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(binding.device.id)) : at::Device(at::kCPU);
    const at::NoGradGuard no_grad;
    if (cuda) model_->to(device);
    bfloat16_ = RH_HAS(&binding, compute) && binding.compute == RH_COMPUTE_BFLOAT16;

    for (std::size_t index = 0; index < sink_.parameters.size(); ++index) {
      detail::Parameter& parameter = sink_.parameters[index];
      const rh_parameter_view& view = binding.parameters[index];
      check_count(parameter.name.c_str(), view.size, static_cast<uint64_t>(parameter.tensor.numel()));
      move_to_host(parameter.tensor, view.value, device, binding.initialize != 0);
      parameter.host_gradient = borrow(view.gradient, parameter.tensor.sizes(), device);
      torch::autograd::impl::set_post_acc_grad_hooks(
          parameter.tensor, std::make_unique<detail::GradientHook>(sink_, static_cast<uint32_t>(index)));
    }
    for (std::size_t index = 0; index < buffers_.size(); ++index) {
      check_count("buffer", binding.buffers[index].size, static_cast<uint64_t>(buffers_[index].numel()));
      move_to_host(buffers_[index], binding.buffers[index].value, device, binding.initialize != 0);
    }
    placements_.assign(binding.embeddings, binding.embeddings + binding.embedding_count);
    sink_.grad_ready = binding.grad_ready;
    sink_.context = binding.context;
    model_->train();
  }

  void forward(const rh_step& step, const rh_tensor* outputs) {
    release_step();
    const bool training = step.phase == RH_PHASE_TRAIN;
    if (model_->is_training() != training) model_->train(training);
    const detail::DeviceScope device(step);
    use_threads();
    const RandomScope random(step.seed, device.device());
    if (training) {
      const at::AutoGradMode grad_mode(true);
      run(step, outputs, device.device());
    } else {
      const c10::InferenceMode inference;
      run(step, outputs, device.device());
      release_step();
    }
  }

  void backward(const rh_step& step, const rh_tensor* output_gradients, rh_managed_tensor** block_gradients) {
    if (groups_.empty() || step.global_step != global_step_)
      throw Error("backward of step " + std::to_string(step.global_step) + " without its forward");
    const detail::DeviceScope device(step);
    use_threads();
    for (auto& parameter : sink_.parameters) parameter.ready = parameter.lent = false;
    sink_.step = &step;

    std::vector<at::Tensor> roots;
    std::vector<at::Tensor> root_gradients;
    for (std::size_t head = 0; head < heads_.size(); ++head) {
      const at::Tensor& value = outputs_.values()[head];
      if (!value.defined() || !value.requires_grad() || output_gradients[head].data == nullptr) continue;
      roots.push_back(value);
      root_gradients.push_back(detail::borrow_tensor(output_gradients[head], device.device()).reshape(value.sizes()));
    }
    // One pass over all heads: what they share is walked once.
    if (!roots.empty()) torch::autograd::backward(roots, root_gradients);
    sink_.zero_the_rest();
    const at::NoGradGuard no_grad;
    for (const auto& group : groups_) block_gradients = group->hand_over_gradients(block_gradients);
    release_step();
  }

 private:
  void run(const rh_step& step, const rh_tensor* outputs, at::Device device) {
    const auto* at = reinterpret_cast<const char*>(step.inputs);
    for (uint32_t group = 0; group < step.group_count; ++group, at += step.inputs_stride)
      groups_.push_back(std::make_unique<Inputs>(*reinterpret_cast<const rh_inputs*>(at), static_cast<Group>(group), step, labels_,
                                                 placements_, device));
    if (groups_.empty()) throw Error("the step has no inputs");
    if (groups_.size() > 1) groups_[0]->set_negatives(*groups_[1]);
    global_step_ = step.global_step;
    outputs_ = Outputs(heads_, groups_[0]->rows(), step.heads);
    {
      std::optional<detail::Bfloat16Scope> scope;
      if (bfloat16_) scope.emplace(device.type());
      model_->forward(*groups_[0], outputs_);
    }

    const at::NoGradGuard no_grad;
    for (std::size_t head = 0; head < heads_.size(); ++head) {
      if (!outputs_.wants(head)) continue;
      const at::Tensor& value = outputs_.values()[head];
      if (!value.defined()) throw Error("the model did not set its head '" + heads_[head].name + "'");
      at::Tensor host_output = detail::borrow_tensor(outputs[head], device);
      host_output.copy_(value.detach().reshape(host_output.sizes()));
    }
  }

  void release_step() {
    outputs_ = Outputs();
    groups_.clear();
  }

  // Torch keeps the number per calling thread, and the host may step on another one than it bound on.
  void use_threads() const {
    static std::once_flag once;
    std::call_once(once, [] {
      // Throws when somebody else in this process has set it already; then it is not ours to change.
      try {
        at::set_num_interop_threads(1);
      } catch (const c10::Error&) {
      }
    });
    thread_local int in_use = 0;
    if (in_use == threads_) return;
    at::set_num_threads(threads_);
    in_use = threads_;
  }

  static at::Tensor borrow(float* data, at::IntArrayRef shape, at::Device device) {
    return at::from_blob(data, shape, at::TensorOptions().dtype(at::kFloat).device(device));
  }

  // Lets `tensor` live in the host's memory, keeping its identity: the module's members are the same tensor.
  static void move_to_host(at::Tensor& tensor, float* memory, at::Device device, bool initialize) {
    at::Tensor view = borrow(memory, tensor.sizes(), device);
    if (initialize) view.copy_(tensor);
    tensor.set_data(view);
  }

  static void check_count(const char* what, uint64_t got, uint64_t expected) {
    if (got != expected)
      throw Error("the host bound " + std::to_string(got) + " for " + what + ", the model declared " + std::to_string(expected));
  }

  Config config_;
  std::shared_ptr<Model> model_;
  std::vector<Spec::HeadEntry> heads_;
  std::vector<std::string> labels_;
  detail::GradientSink sink_;
  std::vector<at::Tensor> buffers_;
  std::vector<rh_embedding_placement> placements_;
  int threads_ = 1;
  bool bfloat16_ = false;

  // The step in progress, from forward until backward returns.
  std::vector<std::unique_ptr<Inputs>> groups_;
  Outputs outputs_;
  int64_t global_step_ = 0;
};

// The ABI's functions for one model class.
template <class Model>
struct TorchModelInterface {
  using Instance = TorchModelInstance<Model>;
  static Instance& instance(rh_model* model) { return *reinterpret_cast<Instance*>(model); }

  static rh_error* create(const rh_host*, const rh_config* config, rh_model** model) {
    return fence<&describe_torch_exception>([&] { *model = reinterpret_cast<rh_model*>(new Instance(*config)); });
  }
  static rh_error* declare(rh_model* model, const rh_data_schema* schema, const rh_spec_builder* builder) {
    return fence<&describe_torch_exception>([&] { instance(model).declare(*schema, *builder); });
  }
  static rh_error* bind(rh_model* model, const rh_binding* binding) {
    return fence<&describe_torch_exception>([&] { instance(model).bind(*binding); });
  }
  static rh_error* forward(rh_model* model, const rh_step* step, const rh_tensor* outputs) {
    return fence<&describe_torch_exception>([&] { instance(model).forward(*step, outputs); });
  }
  static rh_error* backward(rh_model* model, const rh_step* step, const rh_tensor* gradients, rh_managed_tensor** blocks) {
    return fence<&describe_torch_exception>([&] { instance(model).backward(*step, gradients, blocks); });
  }
  static void destroy(rh_model* model) { delete &instance(model); }

  static const void* get_interface(rh_string id) {
    // Not RH_MODEL_GRAPH_CAPTURABLE: torch's allocator must be told of a capture, and only its own graph class does that.
    static const rh_model_interface table = {sizeof(rh_model_interface), RH_MODEL_COMPUTES_BFLOAT16, &create, &declare, &bind, &forward, &backward, &destroy};
    return to_view(id) == RH_MODEL_INTERFACE ? &table : nullptr;
  }
};

// For RECHOST_PLUGIN: the model under the id that users write, with a line of documentation.
template <class Model>
Module torch_model(std::string id, std::string doc) {
  return {RH_MODULE_MODEL, std::move(id), std::move(doc), Model::options(), &TorchModelInterface<Model>::get_interface};
}

}  // namespace v1_0
}  // namespace rechost

#endif  // RECHOST_CXX_TORCH_MODEL_HPP
