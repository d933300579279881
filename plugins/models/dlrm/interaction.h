// How DLRM lets features meet: pairwise dot products, or a cross network.
#pragma once

#include "layers/linear_chain.h"
#include "layers/pair_products.h"
#include "rechost/cxx/torch_model.hpp"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/nn/modules/linear.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace dlrm {

// With X = [dense; embeddings] as [batch, n, dim]: [dense | x_i . x_j for i < j], row by row of the strict upper triangle
// (Naumov et al. 2019), and zeros up to width(). `dense` [batch, dim] may be left out; then X is the embeddings [batch, features, dim]
// alone.
//
// One autograd node, and on the CPU kernels of its own: BLAS spends more time on entering a product of 27 x 16 x 27 than on making it.
class DotInteraction : public torch::autograd::Function<DotInteraction> {
 public:
  // Columns that mean something.
  static int64_t width(bool has_dense, int64_t features, int64_t dim) {
    const int64_t n = features + (has_dense ? 1 : 0);
    return n * (n - 1) / 2 + (has_dense ? dim : 0);
  }

  static at::Tensor forward(torch::autograd::AutogradContext* context, const std::optional<at::Tensor>& given_dense,
                            const at::Tensor& given) {
    const at::Tensor embeddings = given.contiguous();
    const bool has_dense = given_dense.has_value();
    const at::Tensor dense = has_dense ? given_dense->contiguous() : at::Tensor();
    const int64_t batch = embeddings.size(0), n = embeddings.size(1) + (has_dense ? 1 : 0), dim = embeddings.size(2);
    const int64_t lead = has_dense ? dim : 0;
    const int64_t used = lead + n * (n - 1) / 2;
    at::Tensor out;
    if (embeddings.is_cpu()) {
      // A product with rows of whole cache lines is the faster one, and zeros change nothing.
      const int64_t columns = layers::padded_width(used);
      out = at::empty({batch, columns}, embeddings.options());
      const layers::PairInput input = pair_input(dense, embeddings);
      float* const to = out.mutable_data_ptr<float>();
      at::parallel_for(0, batch, grain(n), [&](int64_t begin, int64_t end) { layers::pair_products(input, begin, end, to, columns); });
      context->save_for_backward({dense, embeddings});
    } else {
      const rechost::Float32Scope float32;
      const at::Tensor x = has_dense ? at::cat({dense.unsqueeze(1), embeddings}, 1) : embeddings;
      const at::Tensor products = at::bmm(x, x.transpose(1, 2));
      out = at::empty({batch, used}, x.options());
      if (has_dense) out.narrow(1, 0, dim).copy_(dense);
      const at::Tensor pairs = at::triu_indices(n, n, 1, x.options().dtype(at::kLong));
      out.narrow(1, lead, n * (n - 1) / 2).copy_(products.flatten(1).index_select(1, pairs[0] * n + pairs[1]));
      context->save_for_backward({dense, x});
    }
    context->saved_data["has_dense"] = has_dense;
    return out;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, torch::autograd::variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const bool has_dense = context->saved_data["has_dense"].toBool();
    const at::Tensor gradient = gradients[0].contiguous();
    const int64_t batch = gradient.size(0);
    if (gradient.is_cpu()) {
      const layers::PairInput input = pair_input(saved[0], saved[1]);
      const at::Tensor to_dense = has_dense ? at::empty_like(saved[0]) : at::Tensor();
      const at::Tensor to_embeddings = at::empty_like(saved[1]);
      const float* const from = gradient.const_data_ptr<float>();
      float* const to_lead = has_dense ? to_dense.mutable_data_ptr<float>() : nullptr;
      float* const to_rest = to_embeddings.mutable_data_ptr<float>();
      at::parallel_for(0, batch, grain(input.vectors), [&](int64_t begin, int64_t end) {
        layers::pair_products_gradient(input, begin, end, from, gradient.size(1), to_lead, to_rest);
      });
      return {to_dense, to_embeddings};
    }
    const at::Tensor& x = saved[1];
    const int64_t n = x.size(1), dim = x.size(2);
    const int64_t lead = has_dense ? dim : 0;
    at::Tensor symmetric = at::zeros({batch, n, n}, x.options());
    const at::Tensor pairs = at::triu_indices(n, n, 1, x.options().dtype(at::kLong));
    symmetric.flatten(1).index_copy_(1, pairs[0] * n + pairs[1], gradient.narrow(1, lead, gradient.size(1) - lead));
    symmetric = symmetric + symmetric.transpose(1, 2);
    if (!has_dense) return {at::Tensor(), at::bmm(symmetric, x)};
    // Two products instead of slices of one: the gradient of the embeddings goes to the host as it is, so it must be contiguous.
    const at::Tensor to_dense = at::bmm(symmetric.narrow(1, 0, 1), x).squeeze(1).add_(gradient.narrow(1, 0, dim));
    return {to_dense, at::bmm(symmetric.narrow(1, 1, n - 1), x)};
  }

 private:
  static layers::PairInput pair_input(const at::Tensor& dense, const at::Tensor& embeddings) {
    layers::PairInput input;
    input.lead = dense.defined() ? dense.const_data_ptr<float>() : nullptr;
    input.rest = embeddings.const_data_ptr<float>();
    input.vectors = embeddings.size(1) + (dense.defined() ? 1 : 0);
    input.dim = embeddings.size(2);
    return input;
  }

  // Samples per task: enough work that waking a thread pays.
  static int64_t grain(int64_t n) { return std::max<int64_t>(1, 32768 / std::max<int64_t>(1, n * n)); }
};

// x_{l+1} = x_0 * (W_l (V_l x_l) + b_l) + x_l with V_l [rank, width], W_l [width, rank]: DCN-V2 in its low-rank form
// (Wang et al. 2021, equation 5).
class CrossNetwork : public torch::nn::Module {
 public:
  CrossNetwork(int64_t width, int64_t layer_count, int64_t rank) {
    for (int64_t layer = 0; layer < layer_count; ++layer) {
      const std::string name = std::to_string(layer);
      down_.push_back(
          register_module("down_" + name, std::make_shared<torch::nn::LinearImpl>(torch::nn::LinearOptions(width, rank).bias(false))));
      up_.push_back(register_module("up_" + name, std::make_shared<torch::nn::LinearImpl>(rank, width)));
    }
  }

  // x [batch, width] -> [batch, width]
  at::Tensor forward(const at::Tensor& x) {
    at::Tensor crossed = x;
    for (std::size_t layer = 0; layer < down_.size(); ++layer) {
      const at::Tensor gate = at::linear(at::linear(crossed, down_[layer]->weight), up_[layer]->weight, up_[layer]->bias);
      crossed = at::addcmul(crossed, x, gate);
    }
    return crossed;
  }

 private:
  std::vector<std::shared_ptr<torch::nn::LinearImpl>> down_;
  std::vector<std::shared_ptr<torch::nn::LinearImpl>> up_;
};

}  // namespace dlrm
