#pragma once

#include <string_view>

namespace rechost {

/// Vector instructions that a kernel may be compiled for, from narrow to wide. Each stands for all that its file is compiled with.
enum class InstructionSet {
  kBaseline,  ///< x86-64-v2: SSE4.2, four floats
  kAvx2,      ///< AVX2, FMA, F16C: eight floats
  kAvx512,    ///< AVX-512 F, BW, DQ, VL: sixteen floats
};

/// The widest that processor and operating system support, or the limit if that is narrower. Any thread.
InstructionSet instruction_set();

/// Whether the processor multiplies bfloat16 numbers (AVX512_BF16, which those with AMX have too). Any thread.
bool computes_bfloat16();

/// Keeps instruction_set() from going above `limit`: tests and benches run every twin on one machine. Not while kernels run.
void set_instruction_set_limit(InstructionSet limit);

std::string_view instruction_set_name(InstructionSet set);

/// The twin for this machine, mostly a pointer to a function: the one place where kernels are dispatched.
template <typename Twin>
Twin choose_twin(Twin baseline, Twin avx2, Twin avx512) {
  switch (instruction_set()) {
    case InstructionSet::kAvx512:
      return avx512;
    case InstructionSet::kAvx2:
      return avx2;
    case InstructionSet::kBaseline:
      break;
  }
  return baseline;
}

}  // namespace rechost
