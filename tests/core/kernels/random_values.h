#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/philox.h"
#include "device/instruction_set.h"
#include "kernels/optimizer.h"

namespace rechost::test {

/// Numbers for one test case; the seed goes into the message of a failure.
class RandomValues {
 public:
  explicit RandomValues(std::uint64_t seed) : random_(seed) {}

  float uniform(float low, float high) { return low + (high - low) * uniform_float(random_(counter_++)[0]); }
  std::int64_t below(std::int64_t n) {
    return static_cast<std::int64_t>(uniform_below(random_.word64(counter_++), static_cast<std::uint64_t>(n)));
  }
  std::vector<float> floats(std::int64_t count, float low = -1.0f, float high = 1.0f) {
    std::vector<float> result(static_cast<std::size_t>(count));
    std::generate(result.begin(), result.end(), [&] { return uniform(low, high); });
    return result;
  }

 private:
  Philox random_;
  std::uint64_t counter_ = 0;
};

/// Every instruction set that this machine has, so that each twin is tested wherever it can run.
inline std::vector<InstructionSet> instruction_sets() {
  set_instruction_set_limit(InstructionSet::kAvx512);
  std::vector<InstructionSet> sets;
  for (const InstructionSet set : {InstructionSet::kBaseline, InstructionSet::kAvx2, InstructionSet::kAvx512}) {
    if (set <= instruction_set()) sets.push_back(set);
  }
  return sets;
}

/// Holds dispatch down to one set until the end of the scope.
class WithInstructionSet {
 public:
  explicit WithInstructionSet(InstructionSet set) { set_instruction_set_limit(set); }
  ~WithInstructionSet() { set_instruction_set_limit(InstructionSet::kAvx512); }
  WithInstructionSet(const WithInstructionSet&) = delete;  // one scope, one limit
  WithInstructionSet& operator=(const WithInstructionSet&) = delete;
};

inline constexpr OptimizerKind kAllOptimizers[] = {OptimizerKind::kSgd,     OptimizerKind::kMomentum,
                                                   OptimizerKind::kAdagrad, OptimizerKind::kRowwiseAdagrad,
                                                   OptimizerKind::kAdam,    OptimizerKind::kAdamW};

}  // namespace rechost::test
