// How DLRM lets features meet: pairwise dot products, or a cross network.
#pragma once

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
// (Naumov et al. 2019). `dense` [batch, dim] may be left out; then X is the embeddings [batch, features, dim] alone.
//
// One autograd node instead of the usual chain cat, bmm, index, cat: in the upper triangle each row is a contiguous run, so that
// taking it out is plain copying on the CPU, and the backward pass fills one symmetric [batch, n, n] and multiplies once.
class DotInteraction : public torch::autograd::Function<DotInteraction> {
 public:
  static int64_t width(bool has_dense, int64_t features, int64_t dim) {
    const int64_t n = features + (has_dense ? 1 : 0);
    return n * (n - 1) / 2 + (has_dense ? dim : 0);
  }

  static at::Tensor forward(torch::autograd::AutogradContext* context, const std::optional<at::Tensor>& dense,
                            const at::Tensor& embeddings) {
    const bool has_dense = dense.has_value();
    const at::Tensor x = has_dense ? at::cat({dense->unsqueeze(1), embeddings}, 1) : embeddings.contiguous();
    const at::Tensor products = at::bmm(x, x.transpose(1, 2));
    const int64_t batch = x.size(0), n = x.size(1), dim = x.size(2);
    const int64_t lead = has_dense ? dim : 0;
    at::Tensor out = at::empty({batch, lead + n * (n - 1) / 2}, x.options());
    if (out.is_cpu()) {
      const float* dense_in = has_dense ? x.const_data_ptr<float>() : nullptr;
      const float* all = products.const_data_ptr<float>();
      float* to = out.mutable_data_ptr<float>();
      at::parallel_for(0, batch, grain(n), [&](int64_t begin, int64_t end) {
        for (int64_t sample = begin; sample < end; ++sample) {
          float* row_out = to + sample * (lead + n * (n - 1) / 2);
          if (dense_in != nullptr) row_out = std::copy_n(dense_in + sample * n * dim, dim, row_out);
          for (int64_t row = 0; row + 1 < n; ++row) row_out = std::copy_n(all + (sample * n + row) * n + row + 1, n - 1 - row, row_out);
        }
      });
    } else {
      if (has_dense) out.narrow(1, 0, dim).copy_(*dense);
      const at::Tensor pairs = at::triu_indices(n, n, 1, x.options().dtype(at::kLong));
      out.narrow(1, lead, n * (n - 1) / 2).copy_(products.flatten(1).index_select(1, pairs[0] * n + pairs[1]));
    }
    context->save_for_backward({x});
    context->saved_data["has_dense"] = has_dense;
    return out;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, torch::autograd::variable_list gradients) {
    const at::Tensor x = context->get_saved_variables()[0];
    const bool has_dense = context->saved_data["has_dense"].toBool();
    const at::Tensor gradient = gradients[0].contiguous();
    const int64_t batch = x.size(0), n = x.size(1), dim = x.size(2);
    const int64_t lead = has_dense ? dim : 0;
    const int64_t width = lead + n * (n - 1) / 2;
    at::Tensor symmetric;
    if (gradient.is_cpu()) {
      symmetric = at::empty({batch, n, n}, x.options());
      const float* from = gradient.const_data_ptr<float>();
      float* to = symmetric.mutable_data_ptr<float>();
      at::parallel_for(0, batch, grain(n), [&](int64_t begin, int64_t end) {
        for (int64_t sample = begin; sample < end; ++sample) {
          const float* pair = from + sample * width + lead;
          float* matrix = to + sample * n * n;
          for (int64_t row = 0; row < n; ++row) {
            matrix[row * n + row] = 0;
            for (int64_t column = row + 1; column < n; ++column) matrix[row * n + column] = matrix[column * n + row] = *pair++;
          }
        }
      });
    } else {
      symmetric = at::zeros({batch, n, n}, x.options());
      const at::Tensor pairs = at::triu_indices(n, n, 1, x.options().dtype(at::kLong));
      symmetric.flatten(1).index_copy_(1, pairs[0] * n + pairs[1], gradient.narrow(1, lead, width - lead));
      symmetric = symmetric + symmetric.transpose(1, 2);
    }
    if (!has_dense) return {at::Tensor(), at::bmm(symmetric, x)};
    // Two products instead of slices of one: the gradient of the embeddings goes to the host as it is, so it must be contiguous.
    const at::Tensor to_dense = at::bmm(symmetric.narrow(1, 0, 1), x).squeeze(1).add_(gradient.narrow(1, 0, dim));
    return {to_dense, at::bmm(symmetric.narrow(1, 1, n - 1), x)};
  }

 private:
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
