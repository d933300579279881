// Two towers for retrieval: a user vector and an item vector, compared by their dot product or cosine. Without layers and with one
// feature each it is plain matrix factorisation.
#include "two_tower/losses.h"
#include "two_tower/tower.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace two_tower {

class TwoTower : public rechost::TorchModel {
 public:
  static std::vector<rechost::Option> options() {
    std::vector<rechost::Option> options = {
        rechost::option_int("embedding_dim", 64, "length of every embedding vector").range(1, 4096),
        rechost::option_string_list("user_features", {}, "features of the user tower; empty: those whose entity is \"user\""),
        rechost::option_string_list("item_features", {}, "features of the item tower; empty: those whose entity is \"item\""),
        rechost::option_int_list("user_layers", {128, 64}, "widths of the user tower, its vector last; empty: the embedding is the vector")
            .range(1, 1 << 20),
        rechost::option_int_list("item_layers", {128, 64}, "widths of the item tower, its vector last; empty: the embedding is the vector")
            .range(1, 1 << 20),
        rechost::option_string("combine", "auto", "how a tower joins its embeddings; auto: concat before layers, sum without them")
            .choices({"auto", "sum", "concat"}),
        rechost::option_string("similarity", "dot", "how user and item vectors compare").choices({"dot", "cosine"}),
        rechost::option_float("temperature", 1, "similarities are divided by it; 0.05 to 0.2 suits cosine").range(1e-4, 1e4),
        rechost::option_string("loss", "bce",
                               "bce: label of each row; softmax: the batch's other items as negatives; sampled_softmax, bpr, ccl: "
                               "drawn negatives")
            .choices({"bce", "softmax", "sampled_softmax", "bpr", "ccl"}),
        rechost::option_string("label", "", "the label that bce trains on; empty: the first one"),
        rechost::option_bool("logq_correction", true, "softmax losses: undo that frequent items appear more often as negatives"),
        rechost::option_int("negatives", 16, "negatives drawn per row (sampled_softmax, bpr, ccl)").range(1, 65536),
        rechost::option_string("negative_sampling", "uniform", "uniform: every item alike; frequency: by count to the power 0.75")
            .choices({"uniform", "frequency"}),
        rechost::option_float("negative_weight", 150, "ccl: weight of the negatives' mean").range(0, 1e6),
        rechost::option_float("margin", 0.4, "ccl: similarity above which a negative costs").range(-1, 1e3),
        rechost::option_float("init_scale", 0.1, "standard deviation of the embeddings' initial values").range(0, 10)};
    for (rechost::Option& option : layers::mlp_style_options()) options.push_back(std::move(option));
    return options;
  }

  TwoTower(const rechost::Config& config, const rechost::Schema& schema, rechost::Spec& spec)
      : loss_kind_(config.get_string("loss")),
        temperature_(config.get_float("temperature")),
        correct_(config.get_bool("logq_correction")),
        negative_weight_(config.get_float("negative_weight")),
        margin_(config.get_float("margin")) {
    const bool cosine = config.get_string("similarity") == "cosine";
    const layers::MlpStyle style = layers::read_mlp_style(config);
    user_ = register_module("user", std::make_shared<Tower>(tower_options("user", config, cosine), style, schema, spec, 0));
    item_ = register_module("item", std::make_shared<Tower>(tower_options("item", config, cosine), style, schema, spec,
                                                            static_cast<int64_t>(user_->dense().size())));
    if (user_->width() != item_->width())
      throw rechost::ConfigError("the user vector has " + std::to_string(user_->width()) + " elements, the item vector " +
                                 std::to_string(item_->width()) +
                                 ": end user_layers and item_layers with the same width, or set combine = \"sum\"");
    std::vector<rechost::Feature> dense = user_->dense();
    dense.insert(dense.end(), item_->dense().begin(), item_->dense().end());
    if (!dense.empty()) spec.dense(dense);

    const auto similarity = cosine ? rechost::Similarity::kCosine : rechost::Similarity::kDot;
    user_head_ = spec.vector("user", "user", user_->width(), similarity);
    item_head_ = spec.vector("item", "item", item_->width(), similarity);
    if (loss_kind_ == "bce") {
      if (schema.labels().empty())
        throw rechost::ConfigError("loss \"bce\" needs a label, and the data has none: choose loss = \"softmax\"");
      const std::string& wanted = config.get_string("label");
      const rechost::Label& label = wanted.empty() ? schema.labels().front() : schema.label(wanted);
      if (label.kind != RH_LABEL_BINARY)
        throw rechost::ConfigError("loss \"bce\" needs a label of 0 and 1, and \"" + label.name +
                                   "\" is of another kind: choose loss = \"softmax\", or let the loader make it binary (ratings: label = \"binary\")");
      score_head_ = spec.binary("score", label.name);
      return;
    }
    score_head_ = spec.score("score");
    loss_head_ = spec.loss("loss");
    spec.entity_index("item");
    if (loss_kind_ != "softmax") {
      negatives_ = config.get_int("negatives");
      spec.negatives("item", negatives_,
                     config.get_string("negative_sampling") == "uniform" ? RH_NEGATIVES_UNIFORM : RH_NEGATIVES_FREQUENCY);
      item_->declare_negatives(spec);
    }
  }

  void forward(const rechost::Inputs& in, rechost::Outputs& out) override {
    const bool train_loss = loss_kind_ != "bce" && in.wants(loss_head_);
    const bool pairs = in.wants(score_head_) || train_loss;
    at::Tensor users;
    at::Tensor items;
    // A tower runs when somebody wants it: exporting item vectors leaves the user's inputs empty.
    if (pairs || in.wants(user_head_)) out.set(user_head_, users = user_->encode(in));
    if (pairs || in.wants(item_head_)) out.set(item_head_, items = item_->encode(in));
    if (in.wants(score_head_)) out.set(score_head_, (users * items).sum(1, true) / temperature_);
    if (train_loss) out.set(loss_head_, loss_kind_ == "softmax" ? in_batch_softmax(in, users, items) : drawn_loss(in, users, items));
  }

 private:
  static TowerOptions tower_options(const std::string& entity, const rechost::Config& config, bool unit_length) {
    return {entity,
            config.get_string_list(entity + "_features"),
            config.get_int_list(entity + "_layers"),
            config.get_string("combine"),
            config.get_int("embedding_dim"),
            config.get_float("init_scale"),
            unit_length};
  }

  at::Tensor in_batch_softmax(const rechost::Inputs& in, const at::Tensor& users, const at::Tensor& items) const {
    const auto if_known = [](const at::Tensor& tensor) { return tensor.defined() ? std::optional(tensor) : std::nullopt; };
    const bool with_gradient = at::GradMode::is_enabled() && (users.requires_grad() || items.requires_grad());
    return InBatchSoftmax::apply(users, items, if_known(correct_ ? in.log_probability() : at::Tensor()), if_known(in.entity_index()),
                                 if_known(in.weights()), temperature_, with_gradient);
  }

  at::Tensor drawn_loss(const rechost::Inputs& in, const at::Tensor& users, const at::Tensor& items) {
    const rechost::Inputs& drawn = in.negatives();
    const at::Tensor others = item_->encode_negatives(drawn).view({in.rows(), negatives_, -1});
    const rechost::Float32Scope float32;
    Scores scores;
    scores.positive = (users * items).sum(1, true);
    scores.negative = at::bmm(others, users.unsqueeze(2)).squeeze(2);
    const at::Tensor own_index = in.entity_index();
    const at::Tensor drawn_index = drawn.entity_index();
    if (own_index.defined() && drawn_index.defined()) scores.hit = drawn_index.view({in.rows(), negatives_}) == own_index.unsqueeze(1);
    at::Tensor losses;  // [rows]
    if (loss_kind_ == "ccl") {
      // The margin is a similarity, so this loss sees similarities as they are.
      losses = contrastive(scores, negative_weight_, margin_);
    } else {
      scores.positive = scores.positive / temperature_;
      scores.negative = scores.negative / temperature_;
      losses = loss_kind_ == "bpr" ? bpr(scores) : corrected_softmax(in, drawn, scores);
    }
    return in.weights().defined() ? losses.dot(in.weights()) / in.weights().sum() : losses.mean();
  }

  at::Tensor corrected_softmax(const rechost::Inputs& in, const rechost::Inputs& drawn, const Scores& scores) const {
    const at::Tensor own = correct_ ? in.log_probability() : at::Tensor();
    const at::Tensor others = correct_ ? drawn.log_probability() : at::Tensor();
    if (!own.defined() || !others.defined()) return sampled_softmax(scores, {}, {});
    return sampled_softmax(scores, own.unsqueeze(1), others.view({in.rows(), negatives_}));
  }

  std::string loss_kind_;
  double temperature_;
  bool correct_;
  double negative_weight_;
  double margin_;
  int64_t negatives_ = 0;
  std::shared_ptr<Tower> user_;
  std::shared_ptr<Tower> item_;
  rechost::Head user_head_;
  rechost::Head item_head_;
  rechost::Head score_head_;
  rechost::Head loss_head_;
};

}  // namespace two_tower

RECHOST_PLUGIN("two_tower", "1.0.0",
               rechost::torch_model<two_tower::TwoTower>("two_tower", "Two towers: retrieval by user and item vectors"))
