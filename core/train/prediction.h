#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "data/batch.h"
#include "data/dataset.h"
#include "train/model_runtime.h"

namespace rechost {

/// Runs the model forward over all samples of `split` in their order, `rows_at_once` at a time; the next batches are prepared meanwhile on a
/// thread of its own. `use` gets each batch with the outputs of the wanted heads (bit i: head i), both good during the call only. With several
/// ranks all call this together, and each gets the batches of its own: every world-size-th.
void for_each_prediction(ModelRuntime& model, const Dataset& split, std::int64_t rows_at_once, std::uint64_t heads,
                         const std::function<void(const Batch& batch, std::span<const std::span<float>> outputs)>& use);

}  // namespace rechost
