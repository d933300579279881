// DeepFM (Guo et al. 2017): logit = bias + first-order weights + pairwise products of feature vectors + an MLP over the same vectors.
#include "deepfm/factorization.h"
#include "layers/features.h"
#include "layers/mlp.h"

#include <memory>
#include <string>
#include <vector>

namespace deepfm {

class DeepFm : public rechost::TorchModel {
 public:
  static std::vector<rechost::Option> options() {
    std::vector<rechost::Option> options = {
        rechost::option_int("embedding_dim", 16, "length of every feature vector").range(1, 4096),
        rechost::option_int_list("deep_mlp", {400, 400, 400},
                                 "widths of the hidden layers of the deep part; empty: a plain factorisation machine")
            .range(1, 1 << 20),
        rechost::option_float("init_scale", 0.01, "standard deviation of the vectors' initial values").range(0, 10),
        layers::heads_option()};
    for (rechost::Option& option : layers::mlp_style_options()) options.push_back(std::move(option));
    return options;
  }

  DeepFm(const rechost::Config& config, const rechost::Schema& schema, rechost::Spec& spec) : heads_(config, schema, spec) {
    const int64_t dim = config.get_int("embedding_dim");
    for (const auto& head : spec.heads())
      if (head.kind == RH_HEAD_MULTICLASS)
        throw rechost::ConfigError("deepfm predicts one logit per label, so label '" + head.name +
                                   "' cannot be multiclass: choose another model or leave it out of heads");
    const auto sparse = schema.sparse_features();
    const auto dense = schema.dense_features();
    if (dense.empty() && sparse.empty()) throw rechost::ConfigError("deepfm needs at least one feature");
    const rh_initializer initializer = rechost::Initializer::normal(0, config.get_float("init_scale"));
    for (const rechost::Feature& feature : sparse) {
      layers::require_pooling(feature, "deepfm");
      vectors_.push_back(spec.embedding(feature, dim, initializer));
    }
    // First-order weights are tables of dimension 1 beside those of the vectors; they start at zero, like a linear model.
    for (const rechost::Feature& feature : sparse)
      weights_.push_back(spec.embedding(feature, feature.table + ".linear", 1, rechost::Initializer::constant(0), feature.pooling,
                                        rechost::Group::kSamples));
    const auto dense_count = static_cast<int64_t>(dense.size());
    bias_ = register_parameter("bias", at::zeros({1}));
    if (dense_count > 0) {
      spec.dense(dense);
      dense_weights_ = register_parameter("dense_weights", at::zeros({dense_count}));
      dense_vectors_ = register_parameter("dense_vectors", at::randn({dense_count, dim}) * config.get_float("init_scale"));
    }
    const auto& hidden = config.get_int_list("deep_mlp");
    const int64_t width = static_cast<int64_t>(sparse.size()) * dim + dense_count;
    if (!hidden.empty())
      deep_ = register_module("deep", std::make_shared<layers::Mlp>(width, hidden, heads_.width(), layers::read_mlp_style(config)));
  }

  void forward(const rechost::Inputs& in, rechost::Outputs& out) override {
    const at::Tensor vectors = vectors_.empty() ? at::Tensor() : in.embeddings(vectors_);
    const at::Tensor dense = dense_vectors_.defined() ? in.dense() : at::Tensor();
    at::Tensor logits = factorization(in, vectors, dense);  // [rows, 1]
    if (deep_) {
      std::vector<at::Tensor> parts;
      if (vectors.defined()) parts.push_back(vectors.flatten(1));
      if (dense.defined()) parts.push_back(dense);
      logits = logits + deep_->forward(parts.size() == 1 ? parts[0] : at::cat(parts, 1));
    } else if (heads_.width() > 1) {
      logits = logits.expand({in.rows(), heads_.width()});
    }
    heads_.set(logits, out);
  }

 private:
  // In float32 whatever the layers compute in: differences of squares have few digits to lose.
  at::Tensor factorization(const rechost::Inputs& in, const at::Tensor& vectors, const at::Tensor& dense) const {
    const rechost::Float32Scope float32;
    return first_order(in, dense) + second_order(vectors, dense);
  }

  at::Tensor first_order(const rechost::Inputs& in, const at::Tensor& dense) const {
    at::Tensor sum = bias_.expand({in.rows(), 1});
    if (!weights_.empty()) sum = sum + in.embeddings(weights_).flatten(1).sum(1, true);
    if (dense.defined()) sum = sum + dense.matmul(dense_weights_).unsqueeze(1);
    return sum;
  }

  // A dense feature is a vector of its own, scaled by its value.
  at::Tensor second_order(const at::Tensor& vectors, const at::Tensor& dense) const {
    if (!dense.defined()) return PairwiseSum::apply(vectors, at::zeros({vectors.size(0), vectors.size(2)}, vectors.options()));
    const at::Tensor dense_sum = dense.matmul(dense_vectors_);                                            // [rows, dim]
    const at::Tensor dense_squares = dense.square().matmul(dense_vectors_.square().sum(1)).unsqueeze(1);  // [rows, 1]
    const at::Tensor pairs = vectors.defined() ? PairwiseSum::apply(vectors, dense_sum) : 0.5 * dense_sum.square().sum(1, true);
    return pairs - 0.5 * dense_squares;
  }

  layers::HeadSet heads_;
  std::vector<rechost::Embedding> vectors_;
  std::vector<rechost::Embedding> weights_;
  at::Tensor bias_;
  at::Tensor dense_weights_;
  at::Tensor dense_vectors_;
  std::shared_ptr<layers::Mlp> deep_;
};

}  // namespace deepfm

RECHOST_PLUGIN("deepfm", "1.0.0",
               rechost::torch_model<deepfm::DeepFm>("deepfm", "DeepFM: factorisation machine and MLP over shared vectors"))
