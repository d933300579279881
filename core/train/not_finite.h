#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "comm/communicator.h"
#include "data/batch.h"
#include "data/vocabulary.h"
#include "embedding/embedding_tables.h"
#include "plugin/model_instance.h"
#include "train/dense_parameters.h"
#include "train/dynamic_features.h"
#include "train/step_memory.h"

namespace rechost {

/// A step whose loss is not finite, with all that went into it and came out. Borrowed.
struct FailedStep {
  std::int64_t step = 0;
  const ModelSpec& spec;
  const BatchSchema& schema;
  const Vocabularies& vocabularies;
  const DenseParameters& dense;
  const EmbeddingTables& tables;
  const DynamicFeatures& dynamic;
  StepMemory& memory;  ///< outputs of the last slice
  std::span<const Batch> slices;
  Communicator& communicator;
};

/// One line: the step, the numbers of the samples that its batch begins with, and the first tensor that is not finite in the order in which a step
/// reads and writes them: the batch, dense parameters, rows of tables, outputs, gradients. All ranks together, with the same answer: a row may be bad
/// that another rank holds.
std::string describe_not_finite(const FailedStep& failed);

}  // namespace rechost
