#include <vector>

#include "device/gpu_upload.h"
#include "kernels/gpu_kernels.h"
#include "train/step_memory.h"

namespace rechost {
namespace {

class GpuStepMemory final : public StepMemory {
 public:
  GpuStepMemory(std::size_t heads, std::shared_ptr<const Gpu> gpu)
      : gpu_(std::move(gpu)),
        kernels_(gpu_),
        dense_{GpuUpload(gpu_, "dense inputs of a batch"), GpuUpload(gpu_, "dense inputs of negatives")},
        labels_upload_(gpu_, "labels of a batch"),
        heads_(heads) {}

  StepDevice device() const override {
    // A GPU that is only played has its memory where the CPU has its own, and so tells plugins.
    if (gpu_->runtime().device_memory_is_host) return {};
    return {.cuda = true, .id = gpu_->device(), .stream = gpu_->stream()};
  }

  float* blocks(std::int64_t floats) override {
    blocks_.reserve(gpu_, static_cast<std::size_t>(floats) * sizeof(float), "embedding rows of a batch");
    return blocks_.data<float>();
  }

  const float* dense(InputGroup group, std::span<const float> values) override {
    if (values.empty()) return nullptr;
    GpuUpload& upload = dense_[static_cast<std::size_t>(group)];
    upload.begin(GpuUpload::bytes_of(values));
    const float* const there = upload.add(values);
    upload.finish();
    return there;
  }

  void set_labels(const Labels& labels) override {
    host_labels_ = labels;
    labels_ = weights_ = nullptr;
    if (labels.values.empty() && labels.weights.empty()) return;
    labels_upload_.begin(GpuUpload::bytes_of(labels.values) + GpuUpload::bytes_of(labels.weights));
    if (!labels.values.empty()) labels_ = labels_upload_.add(labels.values);
    if (!labels.weights.empty()) weights_ = labels_upload_.add(labels.weights);
    labels_upload_.finish();
  }
  const float* labels() const override { return labels_; }
  const float* weights() const override { return weights_; }

  std::span<float> make_output(std::size_t head, std::size_t floats) override {
    Head& of = heads_[head];
    of.floats = floats;
    of.output.reserve(gpu_, floats * sizeof(float), "output of a head");
    return {of.output.data<float>(), floats};
  }
  std::span<float> read_output(std::size_t head) override {
    Head& of = heads_[head];
    of.host.resize(of.floats);
    gpu_->copy_out(of.host.data(), of.output.data<float>(), of.floats * sizeof(float));
    return of.host;
  }

  double loss(std::size_t head, LossKind kind, std::int64_t outputs, std::int64_t label_column, double gradient_scale) override {
    Head& of = heads_[head];
    of.gradient.reserve(gpu_, of.floats * sizeof(float), "gradient of a head");
    LossInput input;
    input.rows = host_labels_.rows;
    input.outputs = outputs;
    input.logits = of.output.data<float>();
    input.labels = labels_ + label_column;
    input.label_stride = host_labels_.columns;
    input.weights = weights_;
    return kernels_.loss_and_gradient(kind, input, host_labels_.values.data() + label_column, gradient_scale, of.gradient.data<float>());
  }
  void set_output_gradient(std::size_t head, float value) override {
    Head& of = heads_[head];
    of.gradient.reserve(gpu_, sizeof(float), "gradient of a head");
    gpu_->copy_in(of.gradient.data<float>(), &value, sizeof(float));
  }
  std::span<const float> output_gradient(std::size_t head) const override {
    return {heads_[head].gradient.data<float>(), heads_[head].floats};
  }

 private:
  struct Head {
    std::size_t floats = 0;
    DeviceBuffer output;
    DeviceBuffer gradient;
    std::vector<float> host;
  };

  std::shared_ptr<const Gpu> gpu_;
  GpuKernels kernels_;
  GpuUpload dense_[kInputGroups];
  GpuUpload labels_upload_;
  Labels host_labels_;
  const float* labels_ = nullptr;
  const float* weights_ = nullptr;
  DeviceBuffer blocks_;
  std::vector<Head> heads_;
};

}  // namespace

std::unique_ptr<StepMemory> make_gpu_step_memory(std::size_t heads, std::shared_ptr<const Gpu> gpu) {
  return std::make_unique<GpuStepMemory>(heads, std::move(gpu));
}

}  // namespace rechost
