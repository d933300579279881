#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "device/host_buffer.h"
#include "kernels/dense_update.h"
#include "kernels/optimizer.h"
#include "plugin/model_instance.h"
#include "train/checkpoint_reader.h"
#include "train/checkpoint_writer.h"

namespace rechost {

/// The dense parameters of a model: values, gradients and optimizer state, each one flat buffer, and the non-gradient buffers beside them.
/// Every tensor begins at a multiple of 64 bytes, whatever the sizes, so that a run's arithmetic does not depend on where memory lies.
class DenseParameters {
 public:
  /// Values follow from (seed, name, element) alone, except where the plugin writes them in bind.
  DenseParameters(const ModelSpec& spec, const OptimizerSettings& optimizer, std::uint64_t seed);

  /// For bind. The memory lives as long as this object.
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

  /// Name of the first parameter whose gradient or value is not finite; empty: all are.
  std::string first_not_finite() const;

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

  static std::int64_t place(std::vector<Slot>& slots, const std::vector<ModelSpec::Parameter>& wanted);
  void initialize(const ModelSpec::Parameter& wanted, const Slot& slot, float* values, std::uint64_t seed) const;

  OptimizerSettings optimizer_;
  std::vector<Slot> parameters_;
  std::vector<Slot> buffers_;
  std::vector<DenseRange> ranges_;
  std::int64_t parameter_count_ = 0;
  std::int64_t flat_size_ = 0;
  std::int64_t state_sizes_[2] = {0, 0};
  HostBuffer values_;
  HostBuffer gradients_;
  HostBuffer states_[2];
  HostBuffer buffer_values_;
};

}  // namespace rechost
