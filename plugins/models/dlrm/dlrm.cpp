// DLRM (Naumov et al. 2019): a bottom MLP brings the dense features to the dimension of the embeddings, an interaction lets
// them meet, a top MLP makes the logits.
#include "dlrm/interaction.h"
#include "layers/features.h"
#include "layers/mlp.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace dlrm {

class Dlrm : public rechost::TorchModel {
 public:
  static std::vector<rechost::Option> options() {
    std::vector<rechost::Option> options = {
        rechost::option_int("embedding_dim", 16, "length of every embedding vector").range(1, 4096),
        rechost::option_int_list("bottom_mlp", {512, 256},
                                 "widths of the MLP over the dense features; embedding_dim is appended as the "
                                 "last where it is missing")
            .range(1, 1 << 20),
        rechost::option_int_list("top_mlp", {512, 256}, "widths of the hidden layers between the interaction and the heads")
            .range(1, 1 << 20),
        rechost::option_string("interaction", "dot", "dot: pairwise products; cat: none; dcn: low-rank cross network (DCN-V2)")
            .choices({"dot", "cat", "dcn"}),
        rechost::option_int("cross_layers", 3, "layers of the cross network (interaction = \"dcn\")").range(1, 64),
        rechost::option_int("cross_rank", 64, "rank of its matrices").range(1, 1 << 16),
        layers::heads_option()};
    for (rechost::Option& option : layers::mlp_style_options()) options.push_back(std::move(option));
    return options;
  }

  Dlrm(const rechost::Config& config, const rechost::Schema& schema, rechost::Spec& spec)
      : interaction_(config.get_string("interaction")), heads_(config, schema, spec) {
    const int64_t dim = config.get_int("embedding_dim");
    const layers::MlpStyle style = layers::read_mlp_style(config);
    const auto dense = schema.dense_features();
    for (const rechost::Feature& feature : schema.sparse_features()) {
      layers::require_pooling(feature, "dlrm");
      embeddings_.push_back(spec.embedding(feature, dim));
    }
    if (dense.empty() && embeddings_.empty()) throw rechost::ConfigError("dlrm needs at least one feature");
    if (!dense.empty()) {
      spec.dense(dense);
      std::vector<int64_t> widths = config.get_int_list("bottom_mlp");
      if (widths.empty() || widths.back() != dim) widths.push_back(dim);
      // The paper's bottom MLP ends with an activation: its result is a feature vector like the embeddings, not an output.
      bottom_ = register_module("bottom", std::make_shared<layers::Mlp>(static_cast<int64_t>(dense.size()), widths, std::nullopt, style));
    }
    const auto vectors = static_cast<int64_t>(embeddings_.size()) + (bottom_ ? 1 : 0);
    int64_t width = vectors * dim;
    // A single vector has no pair to meet.
    if (vectors < 2 && interaction_ == "dot") interaction_ = "cat";
    if (interaction_ == "dot") width = DotInteraction::width(bottom_ != nullptr, static_cast<int64_t>(embeddings_.size()), dim);
    if (interaction_ == "dcn")
      cross_ =
          register_module("cross", std::make_shared<CrossNetwork>(width, config.get_int("cross_layers"), config.get_int("cross_rank")));
    top_ = register_module("top", std::make_shared<layers::Mlp>(width, config.get_int_list("top_mlp"), heads_.width(), style));
  }

  void forward(const rechost::Inputs& in, rechost::Outputs& out) override {
    const at::Tensor dense = bottom_ ? bottom_->forward(in.dense()) : at::Tensor();
    heads_.set(top_->forward(interact(dense, in)), out);
  }

 private:
  at::Tensor interact(const at::Tensor& dense, const rechost::Inputs& in) {
    if (embeddings_.empty()) return cross_ ? cross_->forward(dense) : dense;
    const at::Tensor embeddings = in.embeddings(embeddings_);
    if (interaction_ == "dot") return DotInteraction::apply(dense.defined() ? std::optional(dense) : std::nullopt, embeddings);
    const at::Tensor flat = embeddings.flatten(1);
    const at::Tensor all = dense.defined() ? at::cat({dense, flat}, 1) : flat;
    return cross_ ? cross_->forward(all) : all;
  }

  std::string interaction_;
  layers::HeadSet heads_;
  std::vector<rechost::Embedding> embeddings_;
  std::shared_ptr<layers::Mlp> bottom_;
  std::shared_ptr<CrossNetwork> cross_;
  std::shared_ptr<layers::Mlp> top_;
};

}  // namespace dlrm

RECHOST_PLUGIN("dlrm", "1.0.0", rechost::torch_model<dlrm::Dlrm>("dlrm", "DLRM: ranking with dense and sparse features"))
