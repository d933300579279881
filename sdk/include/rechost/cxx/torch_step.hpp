// What a torch model sees of one step: Inputs and Outputs. Included by torch_model.hpp; authors need not name it.
#ifndef RECHOST_CXX_TORCH_STEP_HPP
#define RECHOST_CXX_TORCH_STEP_HPP

#include "rechost/cxx/model.hpp"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/autocast_mode.h>
#include <c10/core/StreamGuard.h>
#include <torch/types.h>

#include <algorithm>
#include <array>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace rechost {
inline namespace v1_0 __attribute__((visibility("hidden"))) {

// Seeds torch's default generators and puts their state back at the end. Dropout, init and rand* offer no other source than the
// default generator, so this is the one way to make an author's ordinary code repeat bit for bit from a step's seed; and the
// process belongs to the host, so what anybody else draws from that generator must not change.
class RandomScope {
 public:
  RandomScope(uint64_t seed, at::Device device) : lock_(mutex()) {
    enter(at::detail::getDefaultCPUGenerator(), seed);
    if (device.is_cuda()) enter(at::globalContext().defaultGenerator(device), seed);
  }
  ~RandomScope() {
    for (std::size_t index = 0; index < count_; ++index) {
      // Only memory could be short here; losing the state of a generator is then the smaller evil.
      try {
        const std::lock_guard<std::mutex> guard(saved_[index].first.mutex());
        saved_[index].first.set_state(saved_[index].second);
      } catch (...) {
      }
    }
  }
  RandomScope(const RandomScope&) = delete;
  RandomScope& operator=(const RandomScope&) = delete;

 private:
  // Two models of one plugin may step at once; their scopes must not interleave.
  static std::recursive_mutex& mutex() {
    static std::recursive_mutex instance;
    return instance;
  }

  void enter(at::Generator generator, uint64_t seed) {
    const std::lock_guard<std::mutex> guard(generator.mutex());
    saved_[count_++] = {generator, generator.get_state()};
    generator.set_current_seed(seed);
  }

  std::lock_guard<std::recursive_mutex> lock_;
  std::array<std::pair<at::Generator, at::Tensor>, 2> saved_;
  std::size_t count_ = 0;
};

namespace detail {

// A tensor over memory of somebody else, who outlives it.
inline at::Tensor borrow_memory(void* data, at::IntArrayRef shape, at::IntArrayRef strides, at::ScalarType type, at::Device device) {
  const auto options = at::TensorOptions().dtype(type).device(device);
  return strides.empty() ? at::from_blob(data, shape, options) : at::from_blob(data, shape, strides, options);
}

// A view of `tensor`; undefined where it has no data although it has elements (the step does not need it).
inline at::Tensor borrow_tensor(const rh_tensor& tensor, at::Device device) {
  const at::IntArrayRef shape(tensor.shape, static_cast<std::size_t>(tensor.ndim));
  if (tensor.data == nullptr) {
    if (tensor.shape == nullptr || tensor.ndim == 0 || c10::multiply_integers(shape) != 0) return {};
    return at::empty(shape, at::TensorOptions().dtype(at::kFloat).device(device));
  }
  if (tensor.dtype.code != RH_DTYPE_FLOAT || tensor.dtype.bits != 32)
    throw Error("the host passed a tensor that is not float32");
  const at::IntArrayRef strides =
      tensor.strides == nullptr ? at::IntArrayRef() : at::IntArrayRef(tensor.strides, static_cast<std::size_t>(tensor.ndim));
  return borrow_memory(static_cast<char*>(tensor.data) + tensor.byte_offset, shape, strides, at::kFloat, device);
}

// A tensor as the ABI's managed tensor, without a copy; it lives until the host calls the deleter, on any thread.
inline rh_managed_tensor* hand_over(at::Tensor tensor, const rh_device& device) {
  struct Holder {
    rh_managed_tensor managed{};
    at::Tensor tensor;
  };
  auto holder = std::make_unique<Holder>();
  holder->tensor = std::move(tensor);
  rh_managed_tensor& managed = holder->managed;
  managed.version_major = 1;
  managed.manager_context = holder.get();
  managed.deleter = [](rh_managed_tensor* self) { delete static_cast<Holder*>(self->manager_context); };
  managed.tensor.data = holder->tensor.data_ptr();
  managed.tensor.device = device;
  managed.tensor.ndim = static_cast<int32_t>(holder->tensor.dim());
  managed.tensor.dtype = {RH_DTYPE_FLOAT, 32, 1};
  // The sizes live in the tensor, as long as the holder; the ABI's type is not const because DLPack's is not.
  managed.tensor.shape = const_cast<int64_t*>(holder->tensor.sizes().data());
  return &holder.release()->managed;
}

// Makes the step's device and stream current. Streams of the host are external to torch; torch's id for such a stream is its
// address (c10/cuda/CUDAStream.cpp), which spares the CUDA headers here.
class DeviceScope {
 public:
  explicit DeviceScope(const rh_step& step)
      : device_(step.device.type == RH_DEVICE_CUDA ? at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(step.device.id))
                                                   : at::Device(at::kCPU)) {
    if (device_.is_cuda())
      guard_.emplace(c10::Stream(c10::Stream::UNSAFE, device_, static_cast<c10::StreamId>(reinterpret_cast<intptr_t>(step.stream))));
  }
  at::Device device() const { return device_; }

 private:
  at::Device device_;
  std::optional<c10::StreamGuard> guard_;
};

// Torch's own mixed precision while a model computes: matrix products read bfloat16 copies of what they are given, everything that needs
// more stays in float32, and parameters get float32 gradients.
class Bfloat16Scope {
 public:
  explicit Bfloat16Scope(at::DeviceType device)
      : device_(device), enabled_(at::autocast::is_autocast_enabled(device)), type_(at::autocast::get_autocast_dtype(device)) {
    at::autocast::set_autocast_dtype(device, at::kBFloat16);
    at::autocast::set_autocast_enabled(device, true);
    at::autocast::increment_nesting();
  }
  ~Bfloat16Scope() {
    // The outermost scope forgets the copies of the parameters, which the next step has changed.
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    at::autocast::set_autocast_enabled(device_, enabled_);
    at::autocast::set_autocast_dtype(device_, type_);
  }
  Bfloat16Scope(const Bfloat16Scope&) = delete;
  Bfloat16Scope& operator=(const Bfloat16Scope&) = delete;

 private:
  at::DeviceType device_;
  bool enabled_;
  at::ScalarType type_;
};

}  // namespace detail

// Whether products on this device read bfloat16 now (run.precision). For operations that torch does not know, which must do it themselves.
inline bool computes_bfloat16(at::Device device) { return at::autocast::is_autocast_enabled(device.type()); }

// While it lives, this thread's products read what they are given: for sums that cancel, and losses.
class Float32Scope {
 public:
  Float32Scope() : guard_(c10::autocast_dispatch_keyset) {}

 private:
  c10::impl::ExcludeDispatchKeyGuard guard_;
};

// The rows of one group in one step. Tensors are views of the host's memory: read, never write. What the wanted heads do not
// need may be absent: such tensors are undefined.
class Inputs {
 public:
  struct Sequence {
    at::Tensor values;   // [ids, dim]
    at::Tensor offsets;  // [rows + 1] int64, host memory: row i owns values offsets[i] .. offsets[i + 1]
  };

  Inputs(const rh_inputs& given, Group group, const rh_step& step, const std::vector<std::string>& labels,
         const std::vector<rh_embedding_placement>& placements, at::Device device)
      : given_(given), group_(group), step_(step), label_names_(labels), placements_(placements), device_(device) {
    const auto* at = reinterpret_cast<const char*>(given.blocks);
    for (uint32_t index = 0; index < given.block_count; ++index, at += given.block_stride) {
      const auto& block = *reinterpret_cast<const rh_embedding_block*>(at);
      blocks_.push_back({detail::borrow_tensor(block.rows, device), block.offsets, {}});
    }
  }
  Inputs(const Inputs&) = delete;
  Inputs& operator=(const Inputs&) = delete;

  int64_t rows() const { return given_.rows; }
  at::Device device() const { return device_; }
  bool training() const { return step_.phase == RH_PHASE_TRAIN; }
  int64_t global_step() const { return step_.global_step; }
  bool wants(Head head) const { return ((step_.heads >> head.index) & 1) != 0; }

  at::Tensor dense() const { return detail::borrow_tensor(given_.dense, device_); }  // [rows, columns]

  // One pooled embedding: [rows, dim].
  at::Tensor embedding(const Embedding& handle) const {
    const at::Tensor slots = region(placement(handle), 1);
    return slots.defined() ? slots.squeeze(1) : slots;
  }

  // Several pooled embeddings of one dimension: [rows, count, dim]. No copy when they were declared one after the other.
  at::Tensor embeddings(const std::vector<Embedding>& handles) const {
    if (handles.empty()) throw Error("Inputs::embeddings() needs at least one embedding");
    const rh_embedding_placement first = placement(handles.front());
    bool adjacent = true;
    for (std::size_t index = 0; index < handles.size(); ++index) {
      const rh_embedding_placement place = placement(handles[index]);
      adjacent = adjacent && place.block == first.block && place.slot == first.slot + index;
    }
    if (adjacent) return region(first, static_cast<int64_t>(handles.size()));
    std::vector<at::Tensor> parts;
    for (const Embedding& handle : handles) {
      parts.push_back(embedding(handle));
      if (!parts.back().defined()) return {};
    }
    return at::stack(parts, 1);
  }

  Sequence sequence(const Embedding& handle) const {
    const rh_embedding_placement place = placement(handle);
    if (!handle.sequence) throw Error("Inputs::sequence() of a pooled embedding");
    const Block& block = blocks_.at(place.block);
    if (!block.rows.defined()) return {};
    // Torch does not tell const memory apart; nothing writes to it.
    auto* offsets = const_cast<int64_t*>(block.offsets);
    return {leaf(block, 0, 0), detail::borrow_memory(offsets, {rows() + 1}, {}, at::kLong, at::Device(at::kCPU))};
  }

  at::Tensor labels() const { return detail::borrow_tensor(given_.labels, device_); }  // [rows, labels] in schema order
  at::Tensor label(std::string_view name) const {                                      // [rows]
    for (std::size_t index = 0; index < label_names_.size(); ++index)
      if (label_names_[index] == name) {
        const at::Tensor all = labels();
        return all.defined() ? all.select(1, static_cast<int64_t>(index)) : all;
      }
    throw Error("the model reads a label '" + std::string(name) + "' that the data does not have");
  }
  at::Tensor weights() const { return detail::borrow_tensor(given_.weights, device_); }  // [rows]; undefined: all 1

  // Only after Spec::entity_index() or Spec::negatives(), in train steps: [rows] on the step's device, else undefined.
  at::Tensor entity_index() const { return side_column(const_cast<int64_t*>(given_.entity_index), at::kLong); }
  at::Tensor log_probability() const { return side_column(const_cast<float*>(given_.log_probability), at::kFloat); }

  // The negatives that Spec::negatives() asked for: those of sample i at [i * per_sample, (i + 1) * per_sample).
  bool has_negatives() const { return negatives_ != nullptr && negatives_->rows() > 0; }
  const Inputs& negatives() const {
    if (negatives_ == nullptr) throw Error("this step has no negatives; they come in train steps, after Spec::negatives()");
    return *negatives_;
  }

  // For the layer: gradients of the blocks in order, from `out` on; null where nothing flowed. Returns the end.
  rh_managed_tensor** hand_over_gradients(rh_managed_tensor** out) const {
    for (const Block& block : blocks_) {
      const at::Tensor gradient = block_gradient(block);
      *out++ = gradient.defined() ? detail::hand_over(gradient, step_device_) : nullptr;
    }
    return out;
  }
  void set_negatives(const Inputs& negatives) { negatives_ = &negatives; }

 private:
  // A run of slots that the model read, as a leaf of the autograd graph. Reading slots through separate leaves, not through slices
  // of one, spares a zero-filled gradient of the whole block for every slice.
  struct Region {
    int64_t first;
    int64_t count;  // 0: the whole block
    at::Tensor leaf;
  };
  struct Block {
    at::Tensor rows;
    const int64_t* offsets;
    mutable std::vector<Region> regions;
  };

  rh_embedding_placement placement(const Embedding& handle) const {
    if (handle.index >= placements_.size()) throw Error("an embedding handle that Spec did not give");
    const rh_embedding_placement place = placements_[handle.index];
    if (place.group != static_cast<uint32_t>(group_) || place.block >= blocks_.size())
      throw Error("the embedding belongs to the other input group: read embeddings of negatives through Inputs::negatives()");
    return place;
  }

  at::Tensor region(const rh_embedding_placement& place, int64_t count) const {
    const Block& block = blocks_[place.block];
    if (!block.rows.defined()) return {};
    if (block.rows.dim() != 3) throw Error("Inputs::embedding() of a sequence; use Inputs::sequence()");
    return count == block.rows.size(1) ? leaf(block, 0, 0) : leaf(block, place.slot, count);
  }

  at::Tensor leaf(const Block& block, int64_t first, int64_t count) const {
    for (const Region& region : block.regions)
      if (region.first == first && region.count == count) return region.leaf;
    at::Tensor leaf = block.rows;
    if (count != 0) {
      auto* data = block.rows.data_ptr<float>() + first * block.rows.stride(1);
      leaf = detail::borrow_memory(data, {block.rows.size(0), count, block.rows.size(2)}, block.rows.strides(), at::kFloat, device_);
    }
    if (training()) leaf.requires_grad_(true);
    block.regions.push_back({first, count, leaf});
    return leaf;
  }

  at::Tensor block_gradient(const Block& block) const {
    std::vector<std::pair<Region, at::Tensor>> parts;
    for (const Region& region : block.regions) {
      if (!region.leaf.grad().defined()) continue;
      if (region.count == 0 && block.regions.size() == 1) return region.leaf.grad().contiguous();
      const bool whole = region.count == 0;
      parts.push_back({{whole ? 0 : region.first, whole ? block.rows.size(1) : region.count, {}}, region.leaf.grad()});
    }
    if (parts.empty()) return {};
    at::Tensor gradient = at::empty(block.rows.sizes(), block.rows.options().requires_grad(false));
    std::vector<bool> written(static_cast<std::size_t>(block.rows.size(1)), false);
    for (const auto& [region, part] : parts) {
      const auto begin = written.begin() + region.first;
      const bool untouched = std::find(begin, begin + region.count, true) == begin + region.count;
      if (untouched) {
        gradient.narrow(1, region.first, region.count).copy_(part);
      } else {
        // Regions that overlap are rare; slot by slot is good enough for them.
        for (int64_t slot = 0; slot < region.count; ++slot) {
          at::Tensor target = gradient.select(1, region.first + slot);
          *(begin + slot) ? target.add_(part.select(1, slot)) : target.copy_(part.select(1, slot));
        }
      }
      std::fill(begin, begin + region.count, true);
    }
    for (std::size_t slot = 0; slot < written.size(); ++slot)
      if (!written[slot]) gradient.select(1, static_cast<int64_t>(slot)).zero_();
    return gradient;
  }

  at::Tensor side_column(void* data, at::ScalarType type) const {
    if (data == nullptr) return {};
    return detail::borrow_memory(data, {rows()}, {}, type, at::Device(at::kCPU)).to(device_);
  }

  // Valid until forward returns; what backward needs lies in blocks_.
  const rh_inputs& given_;
  Group group_;
  const rh_step& step_;
  const std::vector<std::string>& label_names_;
  const std::vector<rh_embedding_placement>& placements_;
  at::Device device_;
  rh_device step_device_ = step_.device;
  std::vector<Block> blocks_;
  const Inputs* negatives_ = nullptr;
};

// Where a model puts the tensors of its heads. A head that is not wanted may be set all the same.
class Outputs {
 public:
  Outputs() = default;
  Outputs(const std::vector<Spec::HeadEntry>& heads, int64_t rows, uint64_t wanted)
      : heads_(&heads), rows_(rows), wanted_(wanted), values_(heads.size()) {}

  // Shapes: [rows] or [rows, 1] for binary, regression and score; [rows, size] for the rest; one element for a loss.
  void set(Head head, at::Tensor value) {
    const Spec::HeadEntry& entry = heads_->at(head.index);
    const int64_t expected = entry.kind == RH_HEAD_LOSS ? 1 : rows_ * entry.size;
    if (!value.defined() || value.numel() != expected || value.scalar_type() != at::kFloat)
      throw Error("head '" + entry.name + "' got " + (value.defined() ? describe(value) : "an undefined tensor") +
                  ", expected float32 with " + std::to_string(expected) + " elements");
    values_[head.index] = std::move(value);
  }

  bool wants(std::size_t head) const { return ((wanted_ >> head) & 1) != 0; }
  const std::vector<at::Tensor>& values() const { return values_; }

 private:
  static std::string describe(const at::Tensor& value) {
    std::string text = std::string(c10::toString(value.scalar_type())) + " [";
    for (int64_t dimension = 0; dimension < value.dim(); ++dimension)
      text += (dimension > 0 ? ", " : "") + std::to_string(value.size(dimension));
    return text + "]";
  }

  const std::vector<Spec::HeadEntry>* heads_ = nullptr;
  int64_t rows_ = 0;
  uint64_t wanted_ = 0;
  std::vector<at::Tensor> values_;
};

}  // namespace v1_0
}  // namespace rechost

#endif  // RECHOST_CXX_TORCH_STEP_HPP
