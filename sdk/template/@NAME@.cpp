// A ranking model in one file: every feature becomes a vector, an MLP over all of them predicts each label. Change what you like.
#include <rechost/cxx/torch_model.hpp>

#include <torch/nn/modules/linear.h>

namespace {

class Model : public rechost::TorchModel {
 public:
  // What users may set in the [model] section. rechost checks names, types and ranges before the constructor runs.
  static std::vector<rechost::Option> options() {
    return {rechost::option_int("embedding_dim", 16, "length of every embedding vector").range(1, 1024),
            rechost::option_int("hidden", 64, "width of the hidden layer").range(1, 65536)};
  }

  // Says what the model reads and predicts, and registers its modules; their parameters are found by name.
  Model(const rechost::Config& config, const rechost::Schema& schema, rechost::Spec& spec) {
    const int64_t dim = config.get_int("embedding_dim");
    for (const rechost::Feature& feature : schema.sparse_features()) embeddings_.push_back(spec.embedding(feature, dim));
    const auto dense = schema.dense_features();
    if (!dense.empty()) spec.dense(dense);
    for (const rechost::Label& label : schema.labels()) heads_.push_back(spec.for_label(label.name, label));

    const auto width = static_cast<int64_t>(embeddings_.size()) * dim + static_cast<int64_t>(dense.size());
    hidden_ = register_module("hidden", torch::nn::Linear(width, config.get_int("hidden")));
    for (std::size_t index = 0; index < heads_.size(); ++index) {
      const int64_t outputs = schema.labels()[index].kind == RH_LABEL_MULTICLASS ? schema.labels()[index].classes : 1;
      outputs_.push_back(register_module("head_" + schema.labels()[index].name, torch::nn::Linear(config.get_int("hidden"), outputs)));
    }
  }

  // Logits out; rechost has the losses, the optimizers and the embedding tables.
  void forward(const rechost::Inputs& in, rechost::Outputs& out) override {
    std::vector<at::Tensor> parts;
    if (!embeddings_.empty()) parts.push_back(in.embeddings(embeddings_).flatten(1));  // [rows, features * dim]
    if (const at::Tensor dense = in.dense(); dense.defined()) parts.push_back(dense);  // [rows, dense features]
    const at::Tensor hidden = hidden_->forward(at::cat(parts, 1)).relu_();
    for (std::size_t index = 0; index < heads_.size(); ++index) out.set(heads_[index], outputs_[index]->forward(hidden));
  }

 private:
  std::vector<rechost::Embedding> embeddings_;
  std::vector<rechost::Head> heads_;
  torch::nn::Linear hidden_ = nullptr;
  std::vector<torch::nn::Linear> outputs_;
};

}  // namespace

RECHOST_PLUGIN("@NAME@", "0.1.0", rechost::torch_model<Model>("@NAME@", "an MLP over all features"))
