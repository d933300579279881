// One side of a two-tower model: the features of an entity become one vector.
#pragma once

#include "layers/features.h"
#include "layers/mlp.h"

#include <memory>
#include <string>
#include <vector>

namespace two_tower {

struct TowerOptions {
  std::string entity;                 // "user" or "item"
  std::vector<std::string> features;  // empty: those of the entity
  std::vector<int64_t> layers;        // empty: the (summed or concatenated) embeddings are the vector
  std::string combine;                // auto, sum or concat
  int64_t embedding_dim = 0;
  double init_scale = 0;
  bool unit_length = false;
};

class Tower : public torch::nn::Module {
 public:
  // `first_dense`: the column of Inputs::dense() at which this tower's dense features begin in the samples.
  Tower(TowerOptions options, const layers::MlpStyle& style, const rechost::Schema& schema, rechost::Spec& spec, int64_t first_dense)
      : options_(std::move(options)), first_dense_(first_dense) {
    for (const rechost::Feature& feature : select_features(schema)) {
      layers::require_pooling(feature, "two_tower");
      (feature.sparse ? sparse_ : dense_).push_back(feature);
    }
    if (sparse_.empty() && dense_.empty())
      throw rechost::ConfigError("the " + options_.entity + " tower has no feature: give features the entity \"" + options_.entity +
                                 "\" or list them in " + options_.entity + "_features");
    samples_ = declare(spec, rechost::Group::kSamples);

    const auto count = static_cast<int64_t>(sparse_.size());
    const auto dense_count = static_cast<int64_t>(dense_.size());
    concatenate_ = options_.combine == "concat" || (options_.combine == "auto" && !options_.layers.empty());
    width_ = (concatenate_ ? count : std::min<int64_t>(count, 1)) * options_.embedding_dim + dense_count;
    if (options_.layers.empty()) {
      if (dense_count > 0)
        throw rechost::ConfigError("the " + options_.entity + " tower has dense features (" + dense_.front().name + ", ...), which need " +
                                   options_.entity + "_layers");
      return;
    }
    // The last layer makes the vector itself: linear, because an activation would cut off half of the space.
    const std::vector<int64_t> hidden(options_.layers.begin(), options_.layers.end() - 1);
    mlp_ = register_module("mlp", std::make_shared<layers::Mlp>(width_, hidden, options_.layers.back(), style));
    width_ = options_.layers.back();
  }

  // The same features of the negatives that the host draws.
  void declare_negatives(rechost::Spec& spec) {
    negatives_ = declare(spec, rechost::Group::kNegatives);
    if (!dense_.empty()) spec.dense(dense_, rechost::Group::kNegatives);
  }

  // [rows, width()]
  at::Tensor encode(const rechost::Inputs& in) { return encode(in, samples_, first_dense_); }
  at::Tensor encode_negatives(const rechost::Inputs& negatives) { return encode(negatives, negatives_, 0); }

  int64_t width() const { return width_; }
  const std::vector<rechost::Feature>& dense() const { return dense_; }

 private:
  std::vector<rechost::Feature> select_features(const rechost::Schema& schema) const {
    std::vector<rechost::Feature> selected;
    if (options_.features.empty()) {
      for (const rechost::Feature& feature : schema.features())
        if (feature.entity == options_.entity) selected.push_back(feature);
    } else {
      for (const std::string& name : options_.features) selected.push_back(schema.feature(name));
    }
    return selected;
  }

  std::vector<rechost::Embedding> declare(rechost::Spec& spec, rechost::Group group) const {
    std::vector<rechost::Embedding> handles;
    const rh_initializer initializer = rechost::Initializer::normal(0, options_.init_scale);
    for (const rechost::Feature& feature : sparse_) handles.push_back(spec.embedding(feature, options_.embedding_dim, initializer, group));
    return handles;
  }

  at::Tensor encode(const rechost::Inputs& in, const std::vector<rechost::Embedding>& handles, int64_t first_dense) {
    std::vector<at::Tensor> parts;
    if (!handles.empty()) {
      // A single feature is its embedding row, whichever way features are combined.
      if (handles.size() == 1)
        parts.push_back(in.embedding(handles[0]));
      else
        parts.push_back(concatenate_ ? in.embeddings(handles).flatten(1) : in.embeddings(handles).sum(1));
    }
    if (!dense_.empty()) parts.push_back(in.dense().narrow(1, first_dense, static_cast<int64_t>(dense_.size())));
    at::Tensor vector = parts.size() == 1 ? parts[0] : at::cat(parts, 1);
    if (mlp_) vector = mlp_->forward(vector);
    return options_.unit_length ? vector / vector.norm(2, {1}, true).clamp_min(1e-12) : vector;
  }

  TowerOptions options_;
  std::vector<rechost::Feature> sparse_;
  std::vector<rechost::Feature> dense_;
  std::vector<rechost::Embedding> samples_;
  std::vector<rechost::Embedding> negatives_;
  std::shared_ptr<layers::Mlp> mlp_;
  int64_t first_dense_;
  int64_t width_ = 0;
  bool concatenate_ = false;
};

}  // namespace two_tower
