#pragma once

#include <cstddef>
#include <cstdint>

/// The border between the program and the module rechost_cuda, which alone includes CUDA's headers. Functions return null or the text of an
/// error, which lives as long as the process. No exception and no owner crosses: both sides are of one build, but only the module knows CUDA.
namespace rechost {

/// Work queued on a stream runs in order: a cudaStream_t.
using StreamHandle = void*;
/// A point in a stream: a cudaEvent_t.
using EventHandle = void*;

struct GpuFacts {
  char name[256] = {};
  std::uint64_t memory_bytes = 0;
  std::uint64_t free_bytes = 0;
  std::int32_t compute_major = 0;
  std::int32_t compute_minor = 0;
};

/// What the module does for this floor. Device functions act on the device that use() chose for the calling thread.
struct CudaRuntime {
  const char* build = nullptr;       ///< version of the program that the module belongs to
  bool device_memory_is_host = false;  ///< the module only plays a GPU, in host memory (tests): plugins then get CPU tensors

  const char* (*device_count)(std::int32_t* count) = nullptr;
  const char* (*describe)(std::int32_t device, GpuFacts* facts) = nullptr;
  const char* (*use)(std::int32_t device) = nullptr;

  const char* (*allocate)(std::size_t bytes, void** memory) = nullptr;
  const char* (*release)(void* memory) = nullptr;
  const char* (*allocate_pinned)(std::size_t bytes, void** memory) = nullptr;  ///< host memory that copies may read while the host goes on
  const char* (*release_pinned)(void* memory) = nullptr;

  // Queued on the stream. Host memory must be pinned to be left alone meanwhile; with other memory the call may wait.
  const char* (*copy_in)(void* device, const void* host, std::size_t bytes, StreamHandle stream) = nullptr;
  const char* (*copy_out)(void* host, const void* device, std::size_t bytes, StreamHandle stream) = nullptr;
  const char* (*fill_zero)(void* device, std::size_t bytes, StreamHandle stream) = nullptr;

  const char* (*create_stream)(StreamHandle* stream) = nullptr;
  const char* (*destroy_stream)(StreamHandle stream) = nullptr;
  const char* (*wait_for_stream)(StreamHandle stream) = nullptr;
  const char* (*wait_for_device)() = nullptr;

  const char* (*create_event)(EventHandle* event) = nullptr;
  const char* (*destroy_event)(EventHandle event) = nullptr;
  const char* (*record)(EventHandle event, StreamHandle stream) = nullptr;
  const char* (*wait_for_event)(EventHandle event) = nullptr;  ///< the host waits; at once for an event never recorded
};

/// The module's functions by these names. Each floor above has a table of its own; see kernels/cuda_kernels.h.
inline constexpr const char* kCudaRuntimeSymbol = "rechost_cuda_runtime";
using CudaRuntimeFunction = const CudaRuntime* (*)();

}  // namespace rechost
