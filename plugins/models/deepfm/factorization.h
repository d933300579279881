// The second-order term of a factorisation machine over all features.
#pragma once

#include "rechost/cxx/torch_model.hpp"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <vector>

namespace deepfm {

// embeddings [batch, features, dim], context [batch, dim] -> [batch, 1]:
//   1/2 sum_d ((context_d + sum_f e_fd)^2 - sum_f e_fd^2)                    (Rendle 2010, lemma 3.1)
// `context` is the sum of vectors that others contribute; the caller subtracts their squares. All pairs within each dimension are
// counted, and the dimensions added up afterwards.
//
// One node with one pass over the embeddings each way; as separate operations it takes six, and the embeddings are the largest
// tensor of the model.
class PairwiseSum : public torch::autograd::Function<PairwiseSum> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& given, const at::Tensor& others) {
    const at::Tensor embeddings = given.contiguous();
    at::Tensor sums;  // [batch, dim]
    at::Tensor out;
    if (embeddings.is_cpu()) {
      const int64_t batch = embeddings.size(0), features = embeddings.size(1), dim = embeddings.size(2);
      sums = others.contiguous().clone();
      out = at::empty({batch, 1}, embeddings.options());
      const float* from = embeddings.const_data_ptr<float>();
      float* sum = sums.mutable_data_ptr<float>();
      float* to = out.mutable_data_ptr<float>();
      at::parallel_for(0, batch, grain(features * dim), [&](int64_t begin, int64_t end) {
        std::vector<float> squares(static_cast<std::size_t>(dim));
        for (int64_t sample = begin; sample < end; ++sample) {
          float* total = sum + sample * dim;
          std::fill(squares.begin(), squares.end(), 0.0F);
          for (int64_t feature = 0; feature < features; ++feature) {
            const float* vector = from + (sample * features + feature) * dim;
            for (int64_t d = 0; d < dim; ++d) {
              total[d] += vector[d];
              squares[static_cast<std::size_t>(d)] += vector[d] * vector[d];
            }
          }
          float result = 0;
          for (int64_t d = 0; d < dim; ++d) result += total[d] * total[d] - squares[static_cast<std::size_t>(d)];
          to[sample] = 0.5F * result;
        }
      });
    } else {
      sums = embeddings.sum(1) + others;
      out = 0.5 * (sums.square().sum(1, true) - embeddings.flatten(1).square().sum(1, true));
    }
    context->save_for_backward({embeddings, sums});
    return out;
  }

  // d/d e_f = sums - e_f, d/d context = sums
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, torch::autograd::variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor& embeddings = saved[0];
    const at::Tensor& sums = saved[1];
    const at::Tensor gradient = gradients[0].contiguous();  // [batch, 1]
    const at::Tensor to_others = sums * gradient;
    if (!embeddings.is_cpu()) return {gradient.unsqueeze(2) * (sums.unsqueeze(1) - embeddings), to_others};
    const int64_t batch = embeddings.size(0), features = embeddings.size(1), dim = embeddings.size(2);
    at::Tensor to_embeddings = at::empty(embeddings.sizes(), embeddings.options());
    const float* from = embeddings.const_data_ptr<float>();
    const float* sum = sums.const_data_ptr<float>();
    const float* scale = gradient.const_data_ptr<float>();
    float* to = to_embeddings.mutable_data_ptr<float>();
    at::parallel_for(0, batch, grain(features * dim), [&](int64_t begin, int64_t end) {
      for (int64_t sample = begin; sample < end; ++sample) {
        for (int64_t feature = 0; feature < features; ++feature) {
          const int64_t start = (sample * features + feature) * dim;
          for (int64_t d = 0; d < dim; ++d) to[start + d] = scale[sample] * (sum[sample * dim + d] - from[start + d]);
        }
      }
    });
    return {to_embeddings, to_others};
  }

 private:
  // Samples per task: enough work that waking a thread pays.
  static int64_t grain(int64_t values) { return std::max<int64_t>(1, 32768 / std::max<int64_t>(1, values)); }
};

}  // namespace deepfm
