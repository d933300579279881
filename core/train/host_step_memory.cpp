#include <vector>

#include "device/host_buffer.h"
#include "train/step_memory.h"

namespace rechost {
namespace {

class HostStepMemory final : public StepMemory {
 public:
  HostStepMemory(std::size_t heads, ThreadPool& pool) : pool_(pool), outputs_(heads), gradients_(heads) {}

  StepDevice device() const override { return {}; }

  float* blocks(std::int64_t floats) override {
    if (blocks_.bytes() < static_cast<std::size_t>(floats) * sizeof(float)) {
      blocks_ = HostBuffer(static_cast<std::size_t>(floats + floats / 4) * sizeof(float), "embedding rows of a batch");
    }
    return blocks_.view<float>().data();
  }

  const float* dense(InputGroup /*group*/, std::span<const float> values) override { return values.data(); }

  void set_labels(const Labels& labels) override { labels_ = labels; }
  const float* labels() const override { return labels_.values.data(); }
  const float* weights() const override { return labels_.weights.empty() ? nullptr : labels_.weights.data(); }

  std::span<float> make_output(std::size_t head, std::size_t floats) override {
    outputs_[head].resize(floats);
    return outputs_[head];
  }
  std::span<float> read_output(std::size_t head) override { return outputs_[head]; }

  double loss(std::size_t head, LossKind kind, std::int64_t outputs, std::int64_t label_column, double gradient_scale) override {
    gradients_[head].resize(outputs_[head].size());
    LossInput input;
    input.rows = labels_.rows;
    input.outputs = outputs;
    input.logits = outputs_[head].data();
    input.labels = labels() + label_column;
    input.label_stride = labels_.columns;
    input.weights = weights();
    return loss_and_gradient(kind, input, gradient_scale, gradients_[head].data(), pool_);
  }
  void set_output_gradient(std::size_t head, float value) override { gradients_[head].assign(1, value); }
  std::span<const float> output_gradient(std::size_t head) const override { return gradients_[head]; }

 private:
  ThreadPool& pool_;
  Labels labels_;
  // Reused from step to step; sized by the largest batch so far.
  HostBuffer blocks_;
  std::vector<std::vector<float>> outputs_;
  std::vector<std::vector<float>> gradients_;
};

}  // namespace

std::unique_ptr<StepMemory> make_host_step_memory(std::size_t heads, ThreadPool& pool) { return std::make_unique<HostStepMemory>(heads, pool); }

}  // namespace rechost
