#pragma once

#include <memory>
#include <string>

#include "config/sections.h"
#include "device/gpu.h"

namespace rechost::app {

/// The GPU that run.device asks for, or null for the CPU. "auto" takes a GPU where one can be used and else says in one line why the CPU
/// computes; "cuda" without one is a ConfigError that says why. A GPU trains in one process so far: more `processes` have none. Opens the
/// module rechost_cuda beside the program (RECHOST_CUDA_MODULE names another file).
std::shared_ptr<Gpu> choose_gpu(const RunSection& run, int processes);

/// Throws ConfigError for run.precision = "bf16" where `gpu`, or without one this processor, has no instructions for it.
void require_precision(const RunSection& run, const Gpu* gpu);

/// What doctor says: the GPUs, or why there are none.
struct GpuFinding {
  std::string value;
  std::string remedy;  ///< empty: nothing is wrong
};
GpuFinding look_for_gpus();

}  // namespace rechost::app
