// The multi-layer perceptron that all models here share, and the options that configure one.
#pragma once

#include "layers/linear_chain.h"
#include "rechost/cxx/torch_model.hpp"

#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/linear.h>

#include <optional>
#include <string>
#include <vector>

// Hidden like the names of the SDK that are used in here.
#pragma GCC visibility push(hidden)

namespace layers {

inline constexpr float kLeakySlope = 0.01F;

enum class Activation { kRelu, kGelu, kSilu, kTanh, kSigmoid, kLeakyRelu };

inline const std::vector<std::string>& activation_names() {
  static const std::vector<std::string> names = {"relu", "gelu", "silu", "tanh", "sigmoid", "leaky_relu"};
  return names;
}

inline Activation parse_activation(const std::string& name) {
  const auto& names = activation_names();
  for (std::size_t index = 0; index < names.size(); ++index)
    if (names[index] == name) return static_cast<Activation>(index);
  throw rechost::ConfigError("activation '" + name + "' is unknown");
}

// May overwrite `x`. Only called on the fresh output of a linear or normalisation layer, whose derivative does not read it.
inline at::Tensor activate(Activation activation, at::Tensor x) {
  switch (activation) {
    case Activation::kRelu:
      return at::relu_(x);
    case Activation::kGelu:
      return at::gelu(x);
    case Activation::kSilu:
      return at::silu(x);
    case Activation::kTanh:
      return at::tanh_(x);
    case Activation::kSigmoid:
      return at::sigmoid_(x);
    case Activation::kLeakyRelu:
      return at::leaky_relu_(x, kLeakySlope);
  }
  return x;
}

// The activations that a chain of linear layers does in passing.
inline std::optional<SlopedRelu> sloped_relu(Activation activation) {
  if (activation == Activation::kRelu) return SlopedRelu{0.0F};
  if (activation == Activation::kLeakyRelu) return SlopedRelu{kLeakySlope};
  return std::nullopt;
}

struct MlpStyle {
  Activation activation = Activation::kRelu;
  bool batch_norm = false;
  double dropout = 0;
};

// The options that every model with an Mlp offers, and their reading.
inline std::vector<rechost::Option> mlp_style_options() {
  return {rechost::option_string("activation", "relu", "activation after each hidden layer").choices(activation_names()),
          rechost::option_bool("batch_norm", false, "normalise each hidden layer over the batch, before the activation"),
          rechost::option_float("dropout", 0, "share of hidden values that is dropped in training").range(0, 0.95)};
}
inline MlpStyle read_mlp_style(const rechost::Config& config) {
  return {parse_activation(config.get_string("activation")), config.get_bool("batch_norm"), config.get_float("dropout")};
}

// Linear layers that follow each other with nothing but a sloped ReLU between them.
class LinearRun {
 public:
  void add(LinearLayer layer) { layers_.push_back(std::move(layer)); }

  // Through the layers added since the last call. The result is float32.
  at::Tensor apply(at::Tensor x) {
    std::vector<LinearLayer> layers = std::exchange(layers_, {});
    if (layers.empty()) return x;
    if (x.is_cpu() && !rechost::computes_bfloat16(x.device())) return linear_chain(x, std::move(layers));
    const int64_t inputs = layers.front().weight.size(1);
    if (x.size(1) > inputs) x = x.narrow(1, 0, inputs);
    for (const LinearLayer& layer : layers) {
      x = at::linear(x, layer.weight, layer.bias);
      const float slope = layer.activation.slope;
      if (slope != 1.0F) x = slope == 0.0F ? at::relu_(x) : at::leaky_relu_(x, slope);
    }
    return x.to(at::kFloat);
  }

 private:
  std::vector<LinearLayer> layers_;
};

// Linear layers of the given widths. A hidden layer is linear, [batch norm], activation, [dropout]; the output layer is linear alone.
class Mlp : public torch::nn::Module {
 public:
  // `output`: width of the output layer; without it the last hidden layer is the result.
  Mlp(int64_t input, const std::vector<int64_t>& hidden, std::optional<int64_t> output, const MlpStyle& style)
      : style_(style), width_(input) {
    for (const int64_t width : hidden) {
      const std::string name = std::to_string(linears_.size());
      linears_.push_back(register_module(name, std::make_shared<torch::nn::LinearImpl>(width_, width)));
      if (style.batch_norm) norms_.push_back(register_module("norm_" + name, std::make_shared<torch::nn::BatchNorm1dImpl>(width)));
      width_ = width;
    }
    hidden_ = linears_.size();
    if (output) {
      linears_.push_back(register_module(std::to_string(hidden_), std::make_shared<torch::nn::LinearImpl>(width_, *output)));
      width_ = *output;
    }
  }

  // x [batch, input] -> [batch, width()]. On the CPU `x` may be wider than the input; columns beyond it must be zero.
  at::Tensor forward(at::Tensor x) {
    LinearRun run;
    for (std::size_t layer = 0; layer < linears_.size(); ++layer) {
      const torch::nn::LinearImpl& linear = *linears_[layer];
      const bool hidden = layer < hidden_;
      const std::optional<SlopedRelu> fused = !hidden ? SlopedRelu{} : style_.batch_norm ? std::nullopt : sloped_relu(style_.activation);
      run.add({linear.weight, linear.bias, fused.value_or(SlopedRelu{})});
      if (!hidden || (fused && style_.dropout == 0)) continue;
      x = run.apply(x);
      if (style_.batch_norm) x = normalise(*norms_[layer], x);
      if (!fused) x = activate(style_.activation, x);
      if (style_.dropout > 0) x = at::dropout(x, style_.dropout, is_training());
    }
    return run.apply(x);
  }

  int64_t width() const { return width_; }

 private:
  // One row has no variance, and torch refuses it; a last batch of one row is then normalised with the running statistics.
  at::Tensor normalise(torch::nn::BatchNorm1dImpl& norm, const at::Tensor& x) const {
    if (!is_training() || x.size(0) > 1) return norm.forward(x);
    return at::batch_norm(x, norm.weight, norm.bias, norm.running_mean, norm.running_var, /*training=*/false, /*momentum=*/0,
                          norm.options.eps(), /*cudnn_enabled=*/true);
  }

  MlpStyle style_;
  int64_t width_;
  std::size_t hidden_ = 0;
  std::vector<std::shared_ptr<torch::nn::LinearImpl>> linears_;
  std::vector<std::shared_ptr<torch::nn::BatchNorm1dImpl>> norms_;
};

}  // namespace layers

#pragma GCC visibility pop
