#include "kernels/losses.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/nearest_name.h"
#include "device/instruction_set.h"
#include "kernels/losses_loops.h"

namespace rechost {
namespace {

/// Logits that a thread takes at once, in whole rows: a fixed number, so that sums are made in the same order on any number of threads.
constexpr std::int64_t kChunkLogits = 4096;
/// Logits that are worked on at once inside a chunk, with labels and losses on the stack.
constexpr std::int64_t kBlock = 512;

struct Job {
  const LossInput& input;
  double gradient_scale = 1.0;
  float* gradients = nullptr;
  const LossLoops& loops;

  double weight(std::int64_t row) const { return input.weights == nullptr ? 1.0 : input.weights[row]; }
  const float* label(std::int64_t row) const { return input.labels + row * input.label_stride; }
  float* gradient(std::int64_t row) const { return gradients == nullptr ? nullptr : gradients + row * input.outputs; }
};

/// Both losses that look at each output by itself. `loop` fills losses and unscaled gradients of a block.
template <typename Loop>
double separate_outputs(const Job& job, std::int64_t begin, std::int64_t end, const Loop& loop) {
  const std::int64_t outputs = job.input.outputs;
  std::array<float, kBlock> labels;
  std::array<float, kBlock> losses;
  std::array<float, kBlock> gradients;
  double total = 0.0;
  for (std::int64_t start = begin * outputs; start < end * outputs; start += kBlock) {
    const std::int64_t count = std::min(kBlock, end * outputs - start);
    std::int64_t row = start / outputs;
    std::int64_t output = start % outputs;
    for (std::int64_t i = 0; i < count; ++i) {
      labels[static_cast<std::size_t>(i)] = job.label(row)[output];
      if (++output == outputs) {
        output = 0;
        ++row;
      }
    }
    loop(job.input.logits + start, labels.data(), count, losses.data(), gradients.data());
    row = start / outputs;
    output = start % outputs;
    for (std::int64_t i = 0; i < count; ++i) {
      const double weight = job.weight(row) / static_cast<double>(outputs);
      total += weight * losses[static_cast<std::size_t>(i)];
      if (job.gradients != nullptr) {
        job.gradients[start + i] = static_cast<float>(job.gradient_scale * weight * gradients[static_cast<std::size_t>(i)]);
      }
      if (++output == outputs) {
        output = 0;
        ++row;
      }
    }
  }
  return total;
}

void squared_error_loop(const float* predictions, const float* labels, std::int64_t count, float* losses, float* gradients) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float difference = predictions[i] - labels[i];
    losses[i] = difference * difference;
    gradients[i] = 2.0f * difference;
  }
}

std::int64_t class_number(const Job& job, std::int64_t row) {
  const float label = *job.label(row);
  check_class_label(label, row, job.input.outputs);
  return static_cast<std::int64_t>(label);
}

double softmax_cross_entropy(const Job& job, std::int64_t begin, std::int64_t end) {
  const std::int64_t outputs = job.input.outputs;
  double total = 0.0;
  for (std::int64_t row = begin; row < end; ++row) {
    const std::int64_t label = class_number(job, row);
    const float* logits = job.input.logits + row * outputs;
    const double weight = job.weight(row);
    const float largest = job.loops.largest(logits, outputs);
    const double sum = job.loops.sum_of_exponentials(logits, outputs, largest);
    total += weight * (std::log(sum) + (static_cast<double>(largest) - logits[label]));
    if (float* gradients = job.gradient(row); gradients != nullptr) {
      const double scale = job.gradient_scale * weight;
      job.loops.scaled_exponentials(logits, outputs, largest, static_cast<float>(scale / sum), gradients);
      gradients[label] = static_cast<float>(gradients[label] - scale);
    }
  }
  return total;
}

double chunk_loss(LossKind kind, const Job& job, std::int64_t begin, std::int64_t end) {
  switch (kind) {
    case LossKind::kBinaryCrossEntropy:
      return separate_outputs(job, begin, end, job.loops.binary_cross_entropy);
    case LossKind::kSquaredError:
      return separate_outputs(job, begin, end, squared_error_loop);
    case LossKind::kSoftmaxCrossEntropy:
      return softmax_cross_entropy(job, begin, end);
  }
  return 0.0;
}

}  // namespace

LossKind loss_kind(std::string_view name) {
  if (name == "binary_cross_entropy" || name == "multilabel_cross_entropy") return LossKind::kBinaryCrossEntropy;
  if (name == "squared_error") return LossKind::kSquaredError;
  if (name == "softmax_cross_entropy") return LossKind::kSoftmaxCrossEntropy;
  const std::array<std::string, 4> names{"binary_cross_entropy", "multilabel_cross_entropy", "squared_error", "softmax_cross_entropy"};
  fail<ConfigError>(
      "unknown loss \"{}\"{}; there are binary_cross_entropy, multilabel_cross_entropy, squared_error and softmax_cross_entropy", name,
      suggestion(name, names));
}

std::string_view loss_name(LossKind kind) {
  switch (kind) {
    case LossKind::kBinaryCrossEntropy:
      return "binary_cross_entropy";
    case LossKind::kSquaredError:
      return "squared_error";
    case LossKind::kSoftmaxCrossEntropy:
      return "softmax_cross_entropy";
  }
  return "unknown";
}

void check_class_label(float label, std::int64_t row, std::int64_t outputs) {
  // Written so that NaN fails too.
  if (!(label >= 0.0f && label < static_cast<float>(outputs)) || label != std::floor(label)) {
    fail<DataError>("class label {} of row {} of the batch is not a whole number from 0 to {}", label, row, outputs - 1);
  }
}

double loss_and_gradient(LossKind kind, const LossInput& input, double gradient_scale, float* gradients, ThreadPool& pool) {
  if (input.rows == 0) return 0.0;
  if (input.outputs < 1) fail<Error>("{} needs at least one output per sample, not {}", loss_name(kind), input.outputs);
  const LossLoops& loops = choose_twin(loss_loops_baseline, loss_loops_avx2, loss_loops_avx512)();
  const Job job{input, gradient_scale, gradients, loops};
  const std::int64_t rows_per_chunk = std::max<std::int64_t>(1, kChunkLogits / input.outputs);
  const std::int64_t chunks = (input.rows + rows_per_chunk - 1) / rows_per_chunk;
  std::vector<double> sums(static_cast<std::size_t>(chunks));
  pool.parallel_for(chunks, [&](std::int64_t chunk) {
    const std::int64_t begin = chunk * rows_per_chunk;
    sums[static_cast<std::size_t>(chunk)] = chunk_loss(kind, job, begin, std::min(input.rows, begin + rows_per_chunk));
  });
  double total = 0.0;
  for (const double sum : sums) total += sum;
  return total;
}

}  // namespace rechost
