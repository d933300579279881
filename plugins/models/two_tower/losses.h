// What two-tower models are trained with, beside binary cross-entropy, which is the host's.
#pragma once

#include "rechost/cxx/torch_model.hpp"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

namespace two_tower {

// Which rows of a batch hold the same item: such a row is no negative of another. Built once per batch by sorting, because
// comparing all rows with all would cost as much as the softmax.
class AccidentalHits {
 public:
  // entity_index [rows]
  explicit AccidentalHits(at::Tensor entity_index) : entity_index_(std::move(entity_index)) {
    if (!entity_index_.is_cpu()) return;
    const int64_t* index = entity_index_.const_data_ptr<int64_t>();
    order_.resize(static_cast<std::size_t>(entity_index_.size(0)));
    std::iota(order_.begin(), order_.end(), 0);
    std::sort(order_.begin(), order_.end(), [&](int64_t a, int64_t b) { return index[a] < index[b]; });
    group_.resize(order_.size());
    for (std::size_t begin = 0, end = 0; begin < order_.size(); begin = end) {
      while (end < order_.size() && index[order_[end]] == index[order_[begin]]) ++end;
      for (std::size_t at = begin; at < end; ++at) group_[static_cast<std::size_t>(order_[at])] = {begin, end};
    }
  }

  // logits [count, rows] of the rows from `first` on: -inf where the column's row has the same item, but is another row.
  void mask(at::Tensor& logits, int64_t first) const {
    constexpr float kNever = -std::numeric_limits<float>::infinity();
    if (!logits.is_cpu()) {
      const at::Tensor same = entity_index_.unsqueeze(0) == entity_index_.narrow(0, first, logits.size(0)).unsqueeze(1);
      same.diagonal(first).fill_(false);
      logits.masked_fill_(same, kNever);
      return;
    }
    float* values = logits.mutable_data_ptr<float>();
    for (int64_t row = 0; row < logits.size(0); ++row) {
      const auto [begin, end] = group_[static_cast<std::size_t>(first + row)];
      for (std::size_t at = begin; at < end; ++at)
        if (order_[at] != first + row) values[row * logits.size(1) + order_[at]] = kNever;
    }
  }

 private:
  at::Tensor entity_index_;
  std::vector<int64_t> order_;                              // rows, equal items side by side
  std::vector<std::pair<std::size_t, std::size_t>> group_;  // per row: the range of its item in order_
};

// Each row's own item against the items of all other rows: users, items [rows, dim] -> [1], the (weighted) mean over the rows of
//   -log softmax_j(u_i . v_j / temperature - correction_j)[i]
// `correction` [rows]: log of the probability that a batch holds the item (Yi et al. 2019). `entity_index` [rows] masks accidental
// hits. `weights` [rows]. Each may be left out. No rows give no number (NaN).
//
// The gradient is computed along with the value, some rows at a time, so that their logits stay in the cache and no [rows, rows]
// matrix is ever made; the backward pass only scales it. `with_gradient`: whether it will be wanted.
class InBatchSoftmax : public torch::autograd::Function<InBatchSoftmax> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& users, const at::Tensor& items,
                            const std::optional<at::Tensor>& correction, const std::optional<at::Tensor>& entity_index,
                            const std::optional<at::Tensor>& weights, double temperature, bool with_gradient) {
    const rechost::Float32Scope float32;
    const int64_t rows = users.size(0);
    const at::Tensor scaled = users / temperature;
    const std::optional<AccidentalHits> hits = entity_index ? std::optional<AccidentalHits>(*entity_index) : std::nullopt;
    at::Tensor total = at::zeros({1}, users.options());
    at::Tensor to_users = with_gradient ? at::empty(users.sizes(), users.options()) : at::Tensor();
    at::Tensor to_items = with_gradient ? at::zeros(items.sizes(), items.options()) : at::Tensor();
    const int64_t logits_at_once = users.is_cpu() ? kLogitsInCache : kLogitsOnDevice;
    const int64_t step = std::max<int64_t>(1, logits_at_once / std::max<int64_t>(1, rows));
    for (int64_t first = 0; first < rows; first += step) {
      const int64_t count = std::min(step, rows - first);
      const at::Tensor own_users = scaled.narrow(0, first, count);
      at::Tensor logits = own_users.mm(items.t());
      if (correction) logits.sub_(correction->unsqueeze(0));
      if (hits) hits->mask(logits, first);
      at::Tensor probabilities = at::softmax(logits, 1);
      // Row i of these meets its own item in column first + i.
      const at::Tensor own = probabilities.diagonal(first);
      // The logarithm of one column, not of all, unless a probability underflowed; on a device looking at it would mean to wait.
      const bool exact = !logits.is_cpu() || own.min().item<float>() < 1e-30F;
      const at::Tensor own_log = exact ? at::log_softmax(logits, 1).diagonal(first) : own.log();
      const at::Tensor row_weights = weights ? weights->narrow(0, first, count) : at::Tensor();
      total.sub_(weights ? own_log.dot(row_weights) : own_log.sum());
      if (!with_gradient) continue;
      own.sub_(1);
      if (weights) probabilities.mul_(row_weights.unsqueeze(1));
      at::Tensor to_own_users = to_users.narrow(0, first, count);
      at::mm_out(to_own_users, probabilities, items);
      to_items.addmm_(probabilities.t(), own_users);
    }
    const at::Tensor scale = weights ? weights->sum().reciprocal() : at::full({}, 1.0 / static_cast<double>(rows), users.options());
    if (with_gradient) context->save_for_backward({to_users.mul_(scale).div_(temperature), to_items.mul_(scale)});
    return total.mul_(scale);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, torch::autograd::variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor none;
    return {saved[0] * gradients[0], saved[1] * gradients[0], none, none, none, none, none};
  }

 private:
  // 4 MB of logits: with their softmax they fit beside the items into the last cache level of one core's share.
  static constexpr int64_t kLogitsInCache = int64_t{1} << 20;
  static constexpr int64_t kLogitsOnDevice = int64_t{1} << 26;
};

// Positive scores [rows, 1] and those of each row's own negatives [rows, negatives]; `hit` [rows, negatives] is true where a
// negative is the row's own item.
struct Scores {
  at::Tensor positive;
  at::Tensor negative;
  at::Tensor hit;  // undefined: none
};

// These give one loss per row. Corrections as above, or undefined: of the rows' items [rows, 1] and of the negatives [rows, negatives].
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
