#pragma once

/// Marks a function that both a CPU and a GPU may run: the body of a kernel, and what it calls. The C++ compiler sees nothing.
#if defined(__CUDACC__)
#define RECHOST_HOST_DEVICE __host__ __device__
#else
#define RECHOST_HOST_DEVICE
#endif

/// Marks a function that the module shows; everything else in it is hidden.
#define RECHOST_MODULE_EXPORT extern "C" __attribute__((visibility("default")))
