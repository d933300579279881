#pragma once

#include <cstdint>

#include "config/sections.h"
#include "train/model_runtime.h"
#include "train/run_data.h"

namespace rechost {

/// Host memory that a run will occupy, in bytes, known before its first step.
struct MemoryPlan {
  /// What a process occupies that has loaded LibTorch and made one step of a small model (measured, version 2.11).
  static constexpr std::uint64_t kLibraries = 130'000'000;

  std::uint64_t tables = 0;        ///< rows, optimizer state beside them, padding; keys of dynamic tables
  std::uint64_t dense = 0;         ///< parameters, gradients, optimizer state
  std::uint64_t decoded_rows = 0;  ///< of all splits
  std::uint64_t batches = 0;       ///< prepared ahead, with their deduplicated ids, and the embedding rows of the one in work

  std::uint64_t total() const { return tables + dense + decoded_rows + batches + kLibraries; }
};

MemoryPlan plan_memory(const Config& config, const RunData& data, const ModelRuntime& model);

}  // namespace rechost
