#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "device/gpu.h"
#include "device/host_buffer.h"
#include "kernels/dense_update.h"
#include "kernels/gpu_kernels.h"
#include "kernels/optimizer.h"
#include "plugin/model_instance.h"
#include "train/checkpoint_reader.h"
#include "train/checkpoint_writer.h"

namespace rechost {

/// The dense parameters of a model: values, gradients and optimizer state, each one flat buffer, and the non-gradient buffers beside them.
/// Every tensor begins at a multiple of 64 bytes, whatever the sizes, so that a run's arithmetic does not depend on where memory lies.
class DenseParameters {
 public:
  /// Values follow from (seed, name, element) alone, except where the plugin writes them in bind. With a GPU the arrays lie in its memory;
  /// what this class hands to the host is a copy.
  DenseParameters(const ModelSpec& spec, const OptimizerSettings& optimizer, std::uint64_t seed, std::shared_ptr<const Gpu> gpu = nullptr);

  /// For bind: addresses where the model computes. The memory lives as long as this object.
  std::vector<ParameterView> parameter_views();
  std::vector<ParameterView> buffer_views();

  /// One optimizer step with the gradients that backward wrote. `clip_value` > 0 cuts each element, then `clip_norm` > 0 scales all down.
  struct UpdateSettings {
    std::int64_t step = 1;
    double lr_factor = 1.0;
    double l2 = 0.0;
    double clip_norm = 0.0;
    double clip_value = 0.0;
  };
  void update(const UpdateSettings& settings, ThreadPool& pool);

  /// What backward writes, all parameters and the padding between them.
  std::span<float> gradients() { return gradients_.view<float>().first(static_cast<std::size_t>(flat_size_)); }
  /// The same of the parameters and of the buffers, for all ranks to begin with those of one.
  std::span<float> values() { return values_.view<float>().first(static_cast<std::size_t>(flat_size_)); }
  std::span<float> buffer_values() { return buffer_values_.view<float>().first(static_cast<std::size_t>(buffer_size_)); }

  /// L2 norm of all gradients together, as backward wrote them or, after update(), as clip_value cut them.
  double gradient_norm(ThreadPool& pool);

  /// Names the first parameter, or the first gradient, that is not finite, with its element; empty: all are.
  std::string first_not_finite_value() const;
  std::string first_not_finite_gradient() const;

  std::int64_t count() const { return parameter_count_; }
  std::uint64_t memory_bytes() const;

  /// For a checkpoint; the tensors borrow this object's memory.
  std::vector<DenseTensor> tensors() const;
  /// Throws CheckpointError for a missing or differently shaped tensor.
  void load(const CheckpointReader& checkpoint, bool with_optimizer_state);

 private:
  struct Slot {
    std::string name;
    std::vector<std::int64_t> shape;
    std::int64_t first = 0;
    std::int64_t count = 0;
    std::int64_t state_first = 0;  ///< first element in state arrays
    std::int64_t state_count = 0;
    std::vector<std::int64_t> state_shape;
  };

  /// The arrays on a GPU; those below are copies then.
  struct OnGpu {
    explicit OnGpu(std::shared_ptr<const Gpu> on) : gpu(std::move(on)), kernels(gpu) {}

    std::shared_ptr<const Gpu> gpu;
    GpuKernels kernels;
    DeviceBuffer values;
    DeviceBuffer gradients;
    DeviceBuffer states[2];
    DeviceBuffer buffer_values;
  };

  const Slot* find_not_finite(const HostBuffer& buffer, std::int64_t& element) const;
  void move_to_gpu(std::shared_ptr<const Gpu> gpu);
  /// Brings the copies up to date, or the GPU's arrays after a change of the copies. Nothing without a GPU.
  void copy_from_gpu() const;
  void copy_to_gpu();
  void update_on_gpu(const UpdateSettings& settings);

  static std::int64_t place(std::vector<Slot>& slots, const std::vector<ModelSpec::Parameter>& wanted);
  void initialize(const ModelSpec::Parameter& wanted, const Slot& slot, float* values, std::uint64_t seed) const;

  OptimizerSettings optimizer_;
  std::vector<Slot> parameters_;
  std::vector<Slot> buffers_;
  std::vector<DenseRange> ranges_;
  std::int64_t parameter_count_ = 0;
  std::int64_t flat_size_ = 0;
  std::int64_t buffer_size_ = 0;
  std::int64_t state_sizes_[2] = {0, 0};
  // Mutable: with a GPU they are copies, made when somebody looks.
  mutable HostBuffer values_;
  mutable HostBuffer gradients_;
  mutable HostBuffer states_[2];
  mutable HostBuffer buffer_values_;
  std::unique_ptr<OnGpu> on_gpu_;
};

}  // namespace rechost
