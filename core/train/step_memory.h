#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/thread_pool.h"
#include "device/gpu.h"
#include "kernels/losses.h"
#include "plugin/model_instance.h"

namespace rechost {

/// The memory of a step where the model computes, and the losses there. On the CPU inputs stay where the batch has them; on a GPU they are
/// copied to it. One thread; what a function returns is good until the same is asked for again.
class StepMemory {
 public:
  /// Labels and weights of the batch in host memory. Borrowed until the step ends.
  struct Labels {
    std::span<const float> values;  ///< [rows, columns]
    std::int64_t rows = 0;
    std::int64_t columns = 0;
    std::span<const float> weights;  ///< [rows], or empty for all 1
  };

  virtual ~StepMemory() = default;

  virtual StepDevice device() const = 0;

  /// Room for the embedding rows of a batch; its content is unspecified.
  virtual float* blocks(std::int64_t floats) = 0;

  /// `values` as the model reads them: the dense input of one group. Null for none.
  virtual const float* dense(InputGroup group, std::span<const float> values) = 0;

  virtual void set_labels(const Labels& labels) = 0;
  /// As the model reads them; null for none.
  virtual const float* labels() const = 0;
  virtual const float* weights() const = 0;

  /// Room for the output of a head, to be written by the model; 0 floats for one that is not wanted.
  virtual std::span<float> make_output(std::size_t head, std::size_t floats) = 0;
  /// What the model has written, in host memory.
  virtual std::span<float> read_output(std::size_t head) = 0;

  /// Loss of a head as in loss_and_gradient(), with the labels of set_labels() from `label_column` on; writes output_gradient(head).
  virtual double loss(std::size_t head, LossKind kind, std::int64_t outputs, std::int64_t label_column, double gradient_scale) = 0;
  /// A head of one element whose gradient is known: makes output_gradient(head).
  virtual void set_output_gradient(std::size_t head, float value) = 0;
  virtual std::span<const float> output_gradient(std::size_t head) const = 0;
};

std::unique_ptr<StepMemory> make_host_step_memory(std::size_t heads, ThreadPool& pool);
std::unique_ptr<StepMemory> make_gpu_step_memory(std::size_t heads, std::shared_ptr<const Gpu> gpu);

}  // namespace rechost
