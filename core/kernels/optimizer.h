#pragma once

#include <cstdint>
#include <string_view>

namespace rechost {

enum class OptimizerKind { kSgd, kMomentum, kAdagrad, kRowwiseAdagrad, kAdam, kAdamW };

/// Throws ConfigError for an unknown name.
OptimizerKind optimizer_kind(std::string_view name);
std::string_view optimizer_name(OptimizerKind kind);

/// One update rule with its constants. For a parameter vector w with gradient g at step t (from 1), lr already times the schedule:
///  sgd              w -= lr g
///  momentum         m = momentum m + g;  w -= lr m
///  adagrad          s += g^2;  w -= lr g / (sqrt(s) + eps)
///  rowwise_adagrad  s += mean(g^2) over the row;  w -= lr g / (sqrt(s) + eps)            (for dense parameters: the last dimension is a
///  row) adam             m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2;  w -= lr (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + eps) adamw as adam,
///  and w -= lr weight_decay w (with w before the step)
/// Sources: Duchi et al. 2011 (adagrad), Kingma & Ba 2015 (adam), Loshchilov & Hutter 2019 (adamw); FBGEMM for the row-wise form.
struct OptimizerSettings {
  OptimizerKind kind = OptimizerKind::kRowwiseAdagrad;
  double lr = 0.01;
  double momentum = 0.9;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double initial_accumulator = 0.0;
  double weight_decay = 0.0;
};

/// State that a row of `dim` elements carries: sgd 0; momentum, adagrad dim; rowwise_adagrad 1; adam, adamw 2 dim.
std::int64_t optimizer_state_floats(OptimizerKind kind, std::int64_t dim);

}  // namespace rechost
