// Linear layers one after the other as one node of the autograd graph.
#pragma once

#include "layers/activation_rows.h"
#include "layers/matrix_product.h"
#include "rechost/cxx/torch_model.hpp"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

// Hidden like the names of the SDK that are used in here.
#pragma GCC visibility push(hidden)

namespace layers {

struct LinearLayer {
  at::Tensor weight;  // [width, input]
  at::Tensor bias;    // [width]
  SlopedRelu activation;
};

// Columns that rows should have for a product to be fast: whole cache lines.
inline int64_t padded_width(int64_t width) { return (width + 15) / 16 * 16; }

namespace detail {

// Rows that go through all layers together: enough for a product to run at full speed, few enough that what one layer writes is in the
// second-level cache when the next one reads it.
inline constexpr int64_t kBlockRows = 512;

// function(index) for all of [0, count), by all threads: each takes the next one when it is done, so that one that has lost its core for a
// while holds nobody up. Products in it are made by the thread that asks for them.
template <typename Function>
void for_each_index(int64_t count, const Function& function) {
  std::atomic<int64_t> next{0};
  const int64_t threads = std::min<int64_t>(count, std::max(1, at::get_num_threads()));
  at::parallel_for(0, threads, 1, [&](int64_t, int64_t) {
    for (int64_t index = next++; index < count; index = next++) function(index);
  });
}

// Ranges of a batch's rows. Their number depends on the number of threads, what happens in them does not.
class RowBlocks {
 public:
  explicit RowBlocks(int64_t rows) : rows_(rows) {
    constexpr int64_t kFewestRows = 16;
    const int64_t threads = std::max(1, at::get_num_threads());
    count_ = std::max((rows + kBlockRows - 1) / kBlockRows, std::min(threads, (rows + kFewestRows - 1) / kFewestRows));
    if (count_ > threads) count_ = (count_ + threads - 1) / threads * threads;
  }

  int64_t count() const { return count_; }

  // function(block, first row, end row)
  template <typename Function>
  void for_each(const Function& function) const {
    for_each_index(count_, [&](int64_t block) { function(block, rows_ * block / count_, rows_ * (block + 1) / count_); });
  }

 private:
  int64_t rows_;
  int64_t count_;
};

inline Matrix matrix_of(const at::Tensor& tensor) {
  return {const_cast<float*>(tensor.const_data_ptr<float>()), tensor.size(0), tensor.size(1), tensor.size(1)};
}

// Copies rows into wider ones, with zeros behind each, or narrower ones.
inline void copy_rows(const Matrix& from, const Matrix& to) {
  const int64_t columns = std::min(from.columns, to.columns);
  for (int64_t row = 0; row < to.rows; ++row) {
    float* const end = std::copy_n(from.data + row * from.stride, columns, to.data + row * to.stride);
    std::fill_n(end, to.columns - columns, 0.0F);
  }
}

// The weight for inputs of `width` columns: one with zeros behind where that is worth the copy for this many rows.
inline at::Tensor padded_weight(const at::Tensor& weight, int64_t width, int64_t rows) {
  if (weight.size(1) == width || rows < kBlockRows) return weight;
  at::Tensor padded = at::empty({weight.size(0), width}, weight.options());
  copy_rows(matrix_of(weight), matrix_of(padded));
  return padded;
}

// outputs[l] [rows, width] of every layer. An undefined one is not kept: only the rows in work have room.
inline void forward_layers(const at::Tensor& x, const std::vector<LinearLayer>& layers, const at::Tensor& first_weight,
                           const std::vector<at::Tensor>& outputs) {
  RowBlocks(x.size(0)).for_each([&](int64_t, int64_t begin, int64_t end) {
    std::vector<float> room[2];
    Matrix in = matrix_of(x).row_range(begin, end).column_range(0, first_weight.size(1));
    for (std::size_t layer = 0; layer < layers.size(); ++layer) {
      const at::Tensor& weight = layer == 0 ? first_weight : layers[layer].weight;
      Matrix out{nullptr, end - begin, weight.size(0), weight.size(0)};
      if (outputs[layer].defined()) {
        out = matrix_of(outputs[layer]).row_range(begin, end);
      } else {
        room[layer % 2].resize(static_cast<std::size_t>(out.rows * out.columns));
        out.data = room[layer % 2].data();
      }
      multiply(in, Transposed::kNo, matrix_of(weight), Transposed::kYes, out);
      add_bias_and_activate(layers[layer].activation, layers[layer].bias.const_data_ptr<float>(), out.data, out.rows, out.columns);
      in = out;
    }
  });
}

// What linear_chain() leaves behind for the backward pass.
class LinearChainNode : public torch::autograd::Node {
 public:
  at::Tensor x;
  at::Tensor first_weight;  // perhaps padded
  std::vector<LinearLayer> layers;
  std::vector<at::Tensor> outputs;

  std::string name() const override { return "LinearChain"; }

  void release_variables() override {
    x.reset();
    first_weight.reset();
    layers.clear();
    outputs.clear();
  }

  torch::autograd::variable_list apply(torch::autograd::variable_list&& gradients) override {
    const at::NoGradGuard no_grad;
    if (layers.empty()) throw rechost::Error("the gradients of linear layers were asked for twice");
    torch::autograd::variable_list result(1 + 2 * layers.size());
    if (!gradients[0].defined()) return result;
    if (task_should_compute_output(0)) {
      const bool whole = first_weight.size(1) == x.size(1);
      result[0] = whole ? at::empty_like(x) : at::zeros_like(x);
    }
    for (std::size_t layer = 0; layer < layers.size(); ++layer) {
      result[1 + 2 * layer] = rechost::gradient_memory(layers[layer].weight);
      result[2 + 2 * layer] = rechost::gradient_memory(layers[layer].bias);
    }
    // Of each layer's values before its activation.
    std::vector<at::Tensor> inner;
    for (const at::Tensor& output : outputs) inner.push_back(at::empty_like(output));
    layer_gradients(gradients[0].contiguous(), inner, result);
    weight_gradients(inner, result);
    return result;
  }

 private:
  // Fills `inner`, the biases' gradients and that of x.
  void layer_gradients(const at::Tensor& arrived, const std::vector<at::Tensor>& inner, const torch::autograd::variable_list& result) const {
    const RowBlocks blocks(x.size(0));
    std::vector<int64_t> first_sum = {0};
    for (const at::Tensor& output : outputs) first_sum.push_back(first_sum.back() + output.size(1));
    // A row for each block, added up in the blocks' order below.
    std::vector<float> sums(static_cast<std::size_t>(blocks.count() * first_sum.back()), 0.0F);
    blocks.for_each([&](int64_t block, int64_t begin, int64_t end) {
      const Matrix from = matrix_of(arrived).row_range(begin, end);
      std::copy_n(from.data, from.rows * from.columns, matrix_of(inner.back()).row_range(begin, end).data);
      for (std::size_t layer = layers.size(); layer-- > 0;) {
        const Matrix own = matrix_of(inner[layer]).row_range(begin, end);
        activation_gradient(layers[layer].activation, matrix_of(outputs[layer]).row_range(begin, end).data, own.data,
                            sums.data() + block * first_sum.back() + first_sum[layer], own.rows, own.columns);
        if (layer > 0) {
          multiply(own, Transposed::kNo, matrix_of(layers[layer].weight), Transposed::kNo, matrix_of(inner[layer - 1]).row_range(begin, end));
        } else if (result[0].defined()) {
          const Matrix to_x = matrix_of(result[0]).row_range(begin, end).column_range(0, first_weight.size(1));
          multiply(own, Transposed::kNo, matrix_of(first_weight), Transposed::kNo, to_x);
        }
      }
    });
    for (std::size_t layer = 0; layer < layers.size(); ++layer) {
      float* const sum = result[2 + 2 * layer].mutable_data_ptr<float>();
      const int64_t width = outputs[layer].size(1);
      std::fill_n(sum, width, 0.0F);
      for (int64_t block = 0; block < blocks.count(); ++block) {
        const float* const part = sums.data() + block * first_sum.back() + first_sum[layer];
        for (int64_t i = 0; i < width; ++i) sum[i] += part[i];
      }
    }
  }

  // Each thread makes its share of every weight's rows, from the whole batch.
  void weight_gradients(const std::vector<at::Tensor>& inner, const torch::autograd::variable_list& result) const {
    constexpr int64_t kRowsAtOnce = 1024;
    const bool padded = layers[0].weight.size(1) != first_weight.size(1);
    const at::Tensor first_gradient = padded ? at::empty_like(first_weight) : result[1];
    const int64_t batch = x.size(0);
    const int64_t threads = std::max(1, at::get_num_threads());
    struct Share {
      std::size_t layer;
      int64_t first;  // rows of the weight
      int64_t last;
    };
    std::vector<Share> shares;
    for (std::size_t layer = layers.size(); layer-- > 0;) {
      const int64_t rows = layers[layer].weight.size(0);
      for (int64_t part = 0; part < threads; ++part) shares.push_back({layer, rows * part / threads, rows * (part + 1) / threads});
    }
    for_each_index(static_cast<int64_t>(shares.size()), [&](int64_t index) {
      const auto [layer, first, last] = shares[static_cast<std::size_t>(index)];
      if (first == last) return;
      const Matrix input = layer == 0 ? matrix_of(x).column_range(0, first_weight.size(1)) : matrix_of(outputs[layer - 1]);
      const Matrix own = matrix_of(inner[layer]).column_range(first, last);
      const Matrix out = matrix_of(layer == 0 ? first_gradient : result[1 + 2 * layer]).row_range(first, last);
      // Without rows once all the same: that makes zeros.
      for (int64_t begin = 0; begin == 0 || begin < batch; begin += kRowsAtOnce) {
        const int64_t end = std::min(batch, begin + kRowsAtOnce);
        multiply(own.row_range(begin, end), Transposed::kYes, input.row_range(begin, end), Transposed::kNo, out, begin > 0);
      }
    });
    if (padded) copy_rows(matrix_of(first_gradient), matrix_of(result[1]));
  }
};

// The layers' own shapes were made to fit by whoever made them; what arrives was not.
inline void check_input(const at::Tensor& x, const LinearLayer& first) {
  const int64_t width = first.weight.size(1);
  const bool fits = x.dim() == 2 && (x.size(1) == width || x.size(1) == padded_width(width)) && x.scalar_type() == at::kFloat;
  if (fits) return;
  std::string shape;
  for (const int64_t size : x.sizes()) shape += (shape.empty() ? "" : ", ") + std::to_string(size);
  throw rechost::Error("a linear layer of " + std::to_string(width) + " inputs got [" + shape + "] of " + c10::toString(x.scalar_type()));
}

}  // namespace detail

// x [batch, input] -> the last layer's [batch, width]: x = sloped_relu(x weight' + bias), layer by layer. CPU only. `x` may be wider than
// the first layer's input; columns beyond it must be zero.
//
// As separate operations each layer reads and writes its rows five times beside the products, and at small batches the graph costs more
// than the arithmetic. Here rows go through all layers in blocks that fit the second-level cache, and the gradients of parameters are made
// where the host wants them.
inline at::Tensor linear_chain(const at::Tensor& x, std::vector<LinearLayer> layers) {
  detail::check_input(x, layers.front());
  const bool with_gradient = at::GradMode::is_enabled() && (x.requires_grad() || layers.front().weight.requires_grad());
  std::shared_ptr<detail::LinearChainNode> node;
  if (with_gradient) {
    node = std::shared_ptr<detail::LinearChainNode>(new detail::LinearChainNode(), torch::autograd::deleteNode);
    torch::autograd::edge_list edges = {torch::autograd::impl::gradient_edge(x)};
    for (const LinearLayer& layer : layers) {
      edges.push_back(torch::autograd::impl::gradient_edge(layer.weight));
      edges.push_back(torch::autograd::impl::gradient_edge(layer.bias));
    }
    node->set_next_edges(std::move(edges));
  }
  const at::NoGradGuard no_grad;
  const at::Tensor input = x.contiguous();
  const at::Tensor first_weight = detail::padded_weight(layers.front().weight, input.size(1), input.size(0));
  std::vector<at::Tensor> outputs;
  for (const LinearLayer& layer : layers) {
    const bool kept = with_gradient || &layer == &layers.back();
    outputs.push_back(kept ? at::empty({input.size(0), layer.weight.size(0)}, input.options()) : at::Tensor());
  }
  detail::forward_layers(input, layers, first_weight, outputs);
  if (!with_gradient) return outputs.back();
  // The node must not hold the tensor that holds the node, only its memory.
  at::Tensor result = outputs.back();
  outputs.back() = result.detach();
  node->x = input;
  node->first_weight = first_weight;
  node->layers = std::move(layers);
  node->outputs = std::move(outputs);
  torch::autograd::set_history(result, node);
  return result;
}

}  // namespace layers

#pragma GCC visibility pop
