// One function for every processor: the loader of the program picks the copy for the one it runs on.
#pragma once

#define MODEL_KERNELS_FOR_ALL_PROCESSORS __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))

// Where the copies differ by more than the compiler sees to: a function for one of "x86-64-v3" and "x86-64-v4", and the choice among them.
#define MODEL_KERNEL_FOR(level) __attribute__((target("arch=" level)))

namespace layers {

template <typename Kernel>
Kernel kernel_for_processor(Kernel any, Kernel v3, Kernel v4) {
  const bool has_v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
  const bool has_v4 = has_v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  return has_v4 ? v4 : has_v3 ? v3 : any;
}

}  // namespace layers
