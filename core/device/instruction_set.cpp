#include "device/instruction_set.h"

#include <cpuid.h>

#include <algorithm>
#include <atomic>

namespace rechost {
namespace {

/// By hand, because clang's check does not know its name. Its registers are those of AVX, which the caller has asked for.
bool has_f16c() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}

InstructionSet detect() {
  // The compiler's own check asks the operating system too: registers that it does not save are as good as absent.
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
  if (!avx2) return InstructionSet::kBaseline;
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  return avx512 ? InstructionSet::kAvx512 : InstructionSet::kAvx2;
}

std::atomic<InstructionSet> instruction_set_limit{InstructionSet::kAvx512};

}  // namespace

InstructionSet instruction_set() {
  static const InstructionSet detected = detect();
  return std::min(detected, instruction_set_limit.load(std::memory_order_relaxed));
}

bool computes_bfloat16() {
  static const bool detected = detect() == InstructionSet::kAvx512 && __builtin_cpu_supports("avx512bf16");
  return detected;
}

void set_instruction_set_limit(InstructionSet limit) { instruction_set_limit.store(limit, std::memory_order_relaxed); }

std::string_view instruction_set_name(InstructionSet set) {
  switch (set) {
    case InstructionSet::kBaseline:
      return "x86-64-v2";
    case InstructionSet::kAvx2:
      return "avx2";
    case InstructionSet::kAvx512:
      return "avx512";
  }
  return "unknown";
}

}  // namespace rechost
