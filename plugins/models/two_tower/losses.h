// What two-tower models are trained with, beside binary cross-entropy, which is the host's. Each gives one loss per row.
#pragma once

#include "rechost/cxx/torch_model.hpp"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>
#include <vector>

namespace two_tower {

// Sets logits[i][j] to -inf for i != j where row j holds the same item as row i: it is no negative of row i.
inline void mask_accidental_hits(at::Tensor& logits, const at::Tensor& entity_index) {
  constexpr float kNever = -std::numeric_limits<float>::infinity();
  const int64_t rows = logits.size(0);
  if (!logits.is_cpu()) {
    const at::Tensor same = entity_index.unsqueeze(0) == entity_index.unsqueeze(1);
    same.fill_diagonal_(false);
    logits.masked_fill_(same, kNever);
    return;
  }
  // Sorting finds the few equal pairs; comparing all rows with all would cost as much as the softmax.
  const int64_t* index = entity_index.const_data_ptr<int64_t>();
  std::vector<int64_t> order(static_cast<std::size_t>(rows));
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return index[a] < index[b]; });
  float* values = logits.mutable_data_ptr<float>();
  for (auto begin = order.begin(); begin != order.end();) {
    const auto end = std::find_if(begin, order.end(), [&](int64_t row) { return index[row] != index[*begin]; });
    for (auto first = begin; first != end; ++first)
      for (auto second = begin; second != end; ++second)
        if (first != second) values[*first * rows + *second] = kNever;
    begin = end;
  }
}

// Each row's own item against the items of all other rows: users, items [rows, dim] -> [rows].
//   loss_i = -log softmax_j(u_i . v_j / temperature - correction_j)[i]
// `correction` [rows]: log of the probability that a batch holds the item (Yi et al. 2019), if known. `entity_index` [rows] masks
// accidental hits, if known. One [rows, rows] matrix is kept for the backward pass, which overwrites it.
class InBatchSoftmax : public torch::autograd::Function<InBatchSoftmax> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& users, const at::Tensor& items,
                            const std::optional<at::Tensor>& correction, const std::optional<at::Tensor>& entity_index,
                            double temperature) {
    const at::Tensor scaled = users / temperature;
    at::Tensor logits = scaled.mm(items.t());
    if (correction) logits.sub_(correction->unsqueeze(0));
    if (entity_index) mask_accidental_hits(logits, *entity_index);
    const at::Tensor log_softmax = at::log_softmax(logits, 1);
    context->save_for_backward({scaled, items, log_softmax});
    context->saved_data["temperature"] = temperature;
    return log_softmax.diagonal().neg();
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, torch::autograd::variable_list gradients) {
    const auto saved = context->get_saved_variables();
    at::Tensor to_logits = saved[2].exp_();
    to_logits.diagonal().sub_(1);
    to_logits.mul_(gradients[0].unsqueeze(1));
    const at::Tensor to_users = to_logits.mm(saved[1]).div_(context->saved_data["temperature"].toDouble());
    return {to_users, to_logits.t().mm(saved[0]), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

// Positive scores [rows, 1] and those of each row's own negatives [rows, negatives]; `hit` [rows, negatives] is true where a
// negative is the row's own item.
struct Scores {
  at::Tensor positive;
  at::Tensor negative;
  at::Tensor hit;  // undefined: none
};

// Corrections as above, or undefined: of the rows' items [rows, 1] and of the negatives [rows, negatives].
inline at::Tensor sampled_softmax(const Scores& scores, const at::Tensor& positive_correction, const at::Tensor& negative_correction) {
  at::Tensor positive = scores.positive;
  at::Tensor negative = scores.negative;
  if (positive_correction.defined() && negative_correction.defined()) {
    positive = positive - positive_correction;
    negative = negative - negative_correction;
  }
  if (scores.hit.defined()) negative = negative.masked_fill(scores.hit, -std::numeric_limits<float>::infinity());
  const at::Tensor all = at::cat({positive, negative}, 1);
  return at::log_softmax(all, 1).select(1, 0).neg();
}

// Mean of -log sigmoid(positive - negative) (Rendle et al. 2009); hits count as zero.
inline at::Tensor bpr(const Scores& scores) {
  at::Tensor each = at::softplus(scores.negative - scores.positive);
  if (scores.hit.defined()) each = each.masked_fill(scores.hit, 0);
  return each.mean(1);
}

// Cosine contrastive loss (Mao et al. 2021): 1 - positive + weight * mean of max(0, negative - margin); hits count as zero.
inline at::Tensor contrastive(const Scores& scores, double weight, double margin) {
  at::Tensor each = at::relu(scores.negative - margin);
  if (scores.hit.defined()) each = each.masked_fill(scores.hit, 0);
  return 1 - scores.positive.squeeze(1) + weight * each.mean(1);
}

}  // namespace two_tower
