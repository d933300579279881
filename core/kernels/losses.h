#pragma once

#include <cstdint>
#include <string_view>

#include "base/thread_pool.h"

namespace rechost {

/// Loss of one sample from its outputs x and labels y:
///  binary_cross_entropy      mean over the outputs of  log(1 + exp(x)) - y x,  with logits x and y in [0, 1]. One output is the usual
///                            case; several are the multi-label loss
///  squared_error             mean over the outputs of  (x - y)^2
///  softmax_cross_entropy     log(sum exp(x)) - x[y], with logits x and one class number y
enum class LossKind { kBinaryCrossEntropy, kSquaredError, kSoftmaxCrossEntropy };

/// Throws ConfigError for an unknown name. "multilabel_cross_entropy" is another name of binary_cross_entropy.
LossKind loss_kind(std::string_view name);
std::string_view loss_name(LossKind kind);

/// What a loss reads. Borrowed.
struct LossInput {
  std::int64_t rows = 0;
  std::int64_t outputs = 1;        ///< per sample
  const float* logits = nullptr;   ///< [rows, outputs], contiguous
  const float* labels = nullptr;   ///< labels of sample i begin at labels[i * label_stride]: `outputs` of them, or one class number
  std::int64_t label_stride = 1;   ///< floats from one sample's labels to the next one's
  const float* weights = nullptr;  ///< [rows], or null for all 1
};

/// Loss and gradient in one pass.
///
/// Returns sum over samples of weight * loss, unscaled. Writes gradients [rows, outputs] = gradient_scale * weight * d loss / d logits;
/// `gradients` may be null (evaluation) and may be `logits` itself. `gradient_scale` is head weight / normaliser. Fixed chunks summed in
/// order: the result does not depend on the number of threads. Throws DataError for a class number outside [0, outputs), naming the row.
double loss_and_gradient(LossKind kind, const LossInput& input, double gradient_scale, float* gradients, ThreadPool& pool);

/// Throws DataError, naming the row, unless `label` is a class number in [0, outputs).
void check_class_label(float label, std::int64_t row, std::int64_t outputs);

/// The same in plain loops and double precision, one thread: what loss_and_gradient() is tested against.
double loss_and_gradient_reference(LossKind kind, const LossInput& input, double gradient_scale, float* gradients);

}  // namespace rechost
