#include "kernels/optimizer.h"

#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/nearest_name.h"
#include "kernels/optimizer_rules.h"

namespace rechost {
namespace {

constexpr std::array<std::pair<OptimizerKind, std::string_view>, 6> kNames{{
    {OptimizerKind::kSgd, "sgd"},
    {OptimizerKind::kMomentum, "momentum"},
    {OptimizerKind::kAdagrad, "adagrad"},
    {OptimizerKind::kRowwiseAdagrad, "rowwise_adagrad"},
    {OptimizerKind::kAdam, "adam"},
    {OptimizerKind::kAdamW, "adamw"},
}};

}  // namespace

OptimizerKind optimizer_kind(std::string_view name) {
  std::array<std::string, kNames.size()> candidates;
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i].second == name) return kNames[i].first;
    candidates[i] = kNames[i].second;
  }
  fail<ConfigError>("unknown optimizer \"{}\"{}; there are sgd, momentum, adagrad, rowwise_adagrad, adam and adamw", name,
                    suggestion(name, candidates));
}

std::string_view optimizer_name(OptimizerKind kind) {
  for (const auto& [candidate, name] : kNames) {
    if (candidate == kind) return name;
  }
  return "unknown";
}

std::int64_t optimizer_state_floats(OptimizerKind kind, std::int64_t dim) {
  return kind == OptimizerKind::kRowwiseAdagrad ? 1 : element_states(kind) * dim;
}

RuleConstants rule_constants(const OptimizerSettings& optimizer, std::int64_t step, double lr_factor, double gradient_scale,
                             double clip_value, double l2) {
  const double lr = optimizer.lr * lr_factor;
  RuleConstants rule;
  rule.lr = static_cast<float>(lr);
  rule.momentum = static_cast<float>(optimizer.momentum);
  rule.beta1 = static_cast<float>(optimizer.beta1);
  rule.beta1_rest = static_cast<float>(1.0 - optimizer.beta1);
  rule.beta2 = static_cast<float>(optimizer.beta2);
  rule.beta2_rest = static_cast<float>(1.0 - optimizer.beta2);
  const auto steps = static_cast<double>(step);
  rule.mean_correction = static_cast<float>(1.0 / (1.0 - std::pow(optimizer.beta1, steps)));
  rule.square_correction = static_cast<float>(1.0 / (1.0 - std::pow(optimizer.beta2, steps)));
  rule.eps = static_cast<float>(optimizer.eps);
  rule.shrink = static_cast<float>(lr * optimizer.weight_decay);
  rule.gradient_scale = static_cast<float>(gradient_scale);
  rule.clip_value = clip_value > 0.0 ? static_cast<float>(clip_value) : std::numeric_limits<float>::infinity();
  rule.l2 = static_cast<float>(l2);
  return rule;
}

}  // namespace rechost
