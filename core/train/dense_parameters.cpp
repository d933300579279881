#include "train/dense_parameters.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/cache_line.h"
#include "base/error.h"
#include "base/philox.h"

namespace rechost {
namespace {

/// Names of the optimizer's state arrays, as a reader of the checkpoint finds them.
std::array<std::string_view, 2> state_names(OptimizerKind kind) {
  switch (kind) {
    case OptimizerKind::kSgd:
      return {"", ""};
    case OptimizerKind::kMomentum:
      return {"momentum", ""};
    case OptimizerKind::kAdagrad:
    case OptimizerKind::kRowwiseAdagrad:
      return {"sum_of_squares", ""};
    case OptimizerKind::kAdam:
    case OptimizerKind::kAdamW:
      return {"mean", "mean_square"};
  }
  return {"", ""};
}

std::int64_t last_dimension(const std::vector<std::int64_t>& shape) { return shape.empty() ? 1 : std::max<std::int64_t>(shape.back(), 1); }

}  // namespace

std::int64_t DenseParameters::place(std::vector<Slot>& slots, const std::vector<ModelSpec::Parameter>& wanted) {
  std::int64_t next = 0;
  for (const ModelSpec::Parameter& parameter : wanted) {
    Slot slot;
    slot.name = parameter.name;
    slot.shape = parameter.shape;
    slot.first = next;
    slot.count = parameter.size;
    slots.push_back(std::move(slot));
    next += (parameter.size + kFloatsPerLine - 1) / kFloatsPerLine * kFloatsPerLine;
  }
  return next;
}

DenseParameters::DenseParameters(const ModelSpec& spec, const OptimizerSettings& optimizer, std::uint64_t seed,
                                 std::shared_ptr<const Gpu> gpu)
    : optimizer_(optimizer) {
  flat_size_ = place(parameters_, spec.parameters);
  buffer_size_ = place(buffers_, spec.buffers);
  std::int64_t rows_before = 0;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    Slot& slot = parameters_[i];
    parameter_count_ += slot.count;
    const std::int64_t row_length = last_dimension(slot.shape);
    ranges_.push_back({.first = slot.first, .count = slot.count, .row_length = row_length, .decay = spec.parameters[i].decay});
    if (optimizer.kind == OptimizerKind::kRowwiseAdagrad) {
      slot.state_first = rows_before;
      slot.state_count = slot.count / row_length;
      slot.state_shape.assign(slot.shape.begin(), slot.shape.empty() ? slot.shape.end() : slot.shape.end() - 1);
      rows_before += slot.state_count;
    } else {
      slot.state_first = slot.first;
      slot.state_count = slot.count;
      slot.state_shape = slot.shape;
    }
  }
  const auto state_sizes = dense_state_floats(optimizer.kind, flat_size_, ranges_);
  const auto bytes = [](std::int64_t floats) { return static_cast<std::size_t>(floats) * sizeof(float); };
  values_ = HostBuffer(bytes(flat_size_), "dense parameters");
  gradients_ = HostBuffer(bytes(flat_size_), "gradients of dense parameters");
  buffer_values_ = HostBuffer(bytes(buffer_size_), "buffers of the model");
  DenseState state;
  for (std::size_t i = 0; i < 2; ++i) {
    state_sizes_[i] = state_sizes[i];
    states_[i] = HostBuffer(bytes(state_sizes[i]), "optimizer state of dense parameters");
  }
  state.first = state_sizes[0] > 0 ? states_[0].view<float>().data() : nullptr;
  state.second = state_sizes[1] > 0 ? states_[1].view<float>().data() : nullptr;
  initialize_dense_state(optimizer, flat_size_, ranges_, state);
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    initialize(spec.parameters[i], parameters_[i], values_.view<float>().data(), seed);
  }
  for (std::size_t i = 0; i < buffers_.size(); ++i) {
    initialize(spec.buffers[i], buffers_[i], buffer_values_.view<float>().data(), seed);
  }
  if (gpu != nullptr) move_to_gpu(std::move(gpu));
}

void DenseParameters::move_to_gpu(std::shared_ptr<const Gpu> gpu) {
  on_gpu_ = std::make_unique<OnGpu>(gpu);
  on_gpu_->values = DeviceBuffer(gpu, values_.bytes(), "dense parameters");
  on_gpu_->gradients = DeviceBuffer(gpu, gradients_.bytes(), "gradients of dense parameters");
  on_gpu_->buffer_values = DeviceBuffer(gpu, buffer_values_.bytes(), "buffers of the model");
  for (std::size_t i = 0; i < 2; ++i) on_gpu_->states[i] = DeviceBuffer(gpu, states_[i].bytes(), "optimizer state of dense parameters");
  // The padding between parameters is never written, but it is read where the norm of all gradients is taken.
  gpu->fill_zero(on_gpu_->gradients.data<float>(), on_gpu_->gradients.bytes());
  copy_to_gpu();
}

void DenseParameters::copy_to_gpu() {
  if (on_gpu_ == nullptr) return;
  const Gpu& gpu = *on_gpu_->gpu;
  gpu.copy_in(on_gpu_->values.data<float>(), values_.data(), values_.bytes());
  gpu.copy_in(on_gpu_->buffer_values.data<float>(), buffer_values_.data(), buffer_values_.bytes());
  for (std::size_t i = 0; i < 2; ++i) gpu.copy_in(on_gpu_->states[i].data<float>(), states_[i].data(), states_[i].bytes());
}

void DenseParameters::copy_from_gpu() const {
  if (on_gpu_ == nullptr) return;
  const Gpu& gpu = *on_gpu_->gpu;
  gpu.make_current();
  gpu.copy_out(values_.data(), on_gpu_->values.data<float>(), values_.bytes());
  gpu.copy_out(gradients_.data(), on_gpu_->gradients.data<float>(), gradients_.bytes());
  gpu.copy_out(buffer_values_.data(), on_gpu_->buffer_values.data<float>(), buffer_values_.bytes());
  for (std::size_t i = 0; i < 2; ++i) gpu.copy_out(states_[i].data(), on_gpu_->states[i].data<float>(), states_[i].bytes());
}

void DenseParameters::initialize(const ModelSpec::Parameter& wanted, const Slot& slot, float* values, std::uint64_t seed) const {
  const std::int64_t columns = last_dimension(slot.shape);
  const std::int64_t rows = slot.shape.size() >= 2 ? slot.shape[slot.shape.size() - 2] : 1;
  double low = wanted.initializer.a;
  double high = wanted.initializer.b;
  bool normal = false;
  switch (wanted.initializer.kind) {
    case InitializerSpec::Kind::kPlugin:
      return;
    case InitializerSpec::Kind::kConstant:
      std::fill_n(values + slot.first, slot.count, static_cast<float>(low));
      return;
    case InitializerSpec::Kind::kUniform:
      break;
    case InitializerSpec::Kind::kNormal:
      normal = true;
      break;
    case InitializerSpec::Kind::kXavierUniform:
      high = std::sqrt(6.0 / static_cast<double>(rows + columns));
      low = -high;
      break;
    case InitializerSpec::Kind::kKaimingUniform:
      high = 1.0 / std::sqrt(static_cast<double>(columns));
      low = -high;
      break;
  }
  const Philox philox(derive_seed(seed, name_seed(slot.name)));
  for (std::int64_t element = 0; element < slot.count; element += 4) {
    const Philox::Block words = philox(static_cast<std::uint64_t>(element) / 4);
    std::array<double, 4> drawn{};
    if (normal) {
      const auto first = normal_pair(words[0], words[1]);
      const auto second = normal_pair(words[2], words[3]);
      drawn = {low + high * first[0], low + high * first[1], low + high * second[0], low + high * second[1]};
    } else {
      for (std::size_t i = 0; i < 4; ++i) drawn[i] = low + (high - low) * uniform_float(words[i]);
    }
    for (std::int64_t i = 0; i < 4 && element + i < slot.count; ++i) {
      values[slot.first + element + i] = static_cast<float>(drawn[static_cast<std::size_t>(i)]);
    }
  }
}

std::vector<ParameterView> DenseParameters::parameter_views() {
  float* const values = on_gpu_ != nullptr ? on_gpu_->values.data<float>() : values_.view<float>().data();
  float* const gradients = on_gpu_ != nullptr ? on_gpu_->gradients.data<float>() : gradients_.view<float>().data();
  std::vector<ParameterView> views;
  for (const Slot& slot : parameters_) views.push_back({values + slot.first, gradients + slot.first});
  return views;
}

std::vector<ParameterView> DenseParameters::buffer_views() {
  float* const values = on_gpu_ != nullptr ? on_gpu_->buffer_values.data<float>() : buffer_values_.view<float>().data();
  std::vector<ParameterView> views;
  for (const Slot& slot : buffers_) views.push_back({values + slot.first, nullptr});
  return views;
}

namespace {

DenseUpdateSettings dense_update_settings(const DenseParameters::UpdateSettings& settings) {
  DenseUpdateSettings update;
  update.step = settings.step;
  update.lr_factor = settings.lr_factor;
  update.l2 = settings.l2;
  return update;
}

/// What gradients of this norm are multiplied with.
double clip_scale(double clip_norm, double square_of_norm) {
  const double norm = std::sqrt(square_of_norm);
  return norm > clip_norm ? clip_norm / norm : 1.0;
}

}  // namespace

void DenseParameters::update(const UpdateSettings& settings, ThreadPool& pool) {
  if (on_gpu_ != nullptr) {
    update_on_gpu(settings);
    return;
  }
  const std::span<float> gradients = this->gradients();
  if (settings.clip_value > 0) {
    const auto limit = static_cast<float>(settings.clip_value);
    for (float& gradient : gradients) gradient = std::clamp(gradient, -limit, limit);
  }
  DenseUpdateSettings update = dense_update_settings(settings);
  if (settings.clip_norm > 0) update.gradient_scale = clip_scale(settings.clip_norm, sum_of_squares(gradients, pool));
  const DenseState state{state_sizes_[0] > 0 ? states_[0].view<float>().data() : nullptr,
                         state_sizes_[1] > 0 ? states_[1].view<float>().data() : nullptr};
  dense_update(optimizer_, update, ranges_, values_.view<float>().data(), gradients.data(), state, pool);
}

void DenseParameters::update_on_gpu(const UpdateSettings& settings) {
  OnGpu& there = *on_gpu_;
  float* const gradients = there.gradients.data<float>();
  if (settings.clip_value > 0) there.kernels.clamp_values(gradients, flat_size_, static_cast<float>(settings.clip_value));
  DenseUpdateSettings update = dense_update_settings(settings);
  if (settings.clip_norm > 0) update.gradient_scale = clip_scale(settings.clip_norm, there.kernels.sum_of_squares(gradients, flat_size_));
  there.kernels.dense_update(optimizer_, update, ranges_, there.values.data<float>(), gradients,
                             {there.states[0].data<float>(), there.states[1].data<float>()});
}

double DenseParameters::gradient_norm(ThreadPool& pool) {
  const double squares = on_gpu_ != nullptr ? on_gpu_->kernels.sum_of_squares(on_gpu_->gradients.data<float>(), flat_size_) : sum_of_squares(gradients(), pool);
  return std::sqrt(squares);
}

const DenseParameters::Slot* DenseParameters::find_not_finite(const HostBuffer& buffer, std::int64_t& element) const {
  for (const Slot& slot : parameters_) {
    const float* const values = buffer.view<float>().data() + slot.first;
    const float* const found = std::find_if(values, values + slot.count, [](float value) { return !std::isfinite(value); });
    if (found == values + slot.count) continue;
    element = found - values;
    return &slot;
  }
  return nullptr;
}

std::string DenseParameters::first_not_finite_value() const {
  copy_from_gpu();
  std::int64_t element = 0;
  const Slot* const slot = find_not_finite(values_, element);
  return slot == nullptr ? "" : fmt::format("parameter {}, element {}", slot->name, element);
}

std::string DenseParameters::first_not_finite_gradient() const {
  copy_from_gpu();
  std::int64_t element = 0;
  const Slot* const slot = find_not_finite(gradients_, element);
  return slot == nullptr ? "" : fmt::format("gradient of {}, element {}", slot->name, element);
}

std::uint64_t DenseParameters::memory_bytes() const {
  return values_.bytes() + gradients_.bytes() + states_[0].bytes() + states_[1].bytes() + buffer_values_.bytes();
}

std::vector<DenseTensor> DenseParameters::tensors() const {
  copy_from_gpu();
  std::vector<DenseTensor> tensors;
  const auto add = [&](std::string role, std::string name, const std::vector<std::int64_t>& shape, const float* values, std::int64_t count) {
    tensors.push_back({std::move(role), tensor_of(std::move(name), shape, std::span(values, static_cast<std::size_t>(count)))});
  };
  for (const Slot& slot : parameters_) add("parameter", slot.name, slot.shape, values_.view<float>().data() + slot.first, slot.count);
  for (const Slot& slot : buffers_) add("buffer", slot.name, slot.shape, buffer_values_.view<float>().data() + slot.first, slot.count);
  const auto names = state_names(optimizer_.kind);
  for (std::size_t i = 0; i < 2; ++i) {
    if (state_sizes_[i] == 0) continue;
    for (const Slot& slot : parameters_) {
      add("optimizer_state", optimizer_state_name(names[i], slot.name), slot.state_shape, states_[i].view<float>().data() + slot.state_first,
          slot.state_count);
    }
  }
  return tensors;
}

void DenseParameters::load(const CheckpointReader& checkpoint, bool with_optimizer_state) {
  copy_from_gpu();  // what is not read stays as it is
  for (const Slot& slot : parameters_) checkpoint.read_dense(slot.name, slot.shape, values_.view<float>().data() + slot.first);
  for (const Slot& slot : buffers_) checkpoint.read_dense(slot.name, slot.shape, buffer_values_.view<float>().data() + slot.first);
  const auto names = state_names(optimizer_.kind);
  for (std::size_t i = 0; with_optimizer_state && i < 2; ++i) {
    if (state_sizes_[i] == 0) continue;
    for (const Slot& slot : parameters_) {
      checkpoint.read_dense(optimizer_state_name(names[i], slot.name), slot.state_shape, states_[i].view<float>().data() + slot.state_first);
    }
  }
  copy_to_gpu();
}

}  // namespace rechost
