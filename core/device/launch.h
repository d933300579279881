#pragma once

#include <cstdint>

#include "device/cuda_runtime.h"
#include "device/host_device.h"

#if defined(__CUDACC__)
#include <cuda_runtime_api.h>
#endif

/// How the module's kernels run: body(i) once for each index, in no order. A body is a plain struct with a `const` call operator marked
/// RECHOST_HOST_DEVICE; it writes nothing that another index reads or writes. nvcc makes a kernel of it. The C++ compiler makes a loop, so
/// that tests run the very same bodies and the very same code around them on a machine without a GPU.
namespace rechost {

#if defined(__CUDACC__)

template <typename Body>
__global__ void run_for_each_index(std::int64_t count, Body body) {
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step) body(i);
}

template <typename Body>
const char* for_each_index(StreamHandle stream, std::int64_t count, const Body& body) {
  if (count <= 0) return nullptr;
  constexpr std::int64_t kThreads = 256;
  constexpr std::int64_t kMostBlocks = 1 << 16;  // the loop in the kernel does the rest
  std::int64_t blocks = (count + kThreads - 1) / kThreads;
  if (blocks > kMostBlocks) blocks = kMostBlocks;
  run_for_each_index<<<static_cast<unsigned>(blocks), static_cast<unsigned>(kThreads), 0, static_cast<cudaStream_t>(stream)>>>(count, body);
  const cudaError_t error = cudaGetLastError();
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

#else

template <typename Body>
const char* for_each_index(StreamHandle, std::int64_t count, const Body& body) {
  // Backwards: a body that counts on an order among indices shows in the tests.
  for (std::int64_t i = count; i-- > 0;) body(i);
  return nullptr;
}

#endif

}  // namespace rechost
