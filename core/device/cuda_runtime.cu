#include "device/cuda_runtime.h"

#include <cuda_runtime_api.h>

#include <cstdio>

#include "device/host_device.h"

namespace rechost {
namespace {

const char* text(cudaError_t error) {
  if (error == cudaSuccess) return nullptr;
  // Taken off the thread's record, so that the next call does not report it once more.
  (void)cudaGetLastError();
  return cudaGetErrorString(error);
}

const char* device_count(std::int32_t* count) {
  *count = 0;
  int found = 0;
  int driver = 0;
  // 0: no driver at all; CUDA's own text would speak of a version that is too low.
  if (cudaDriverGetVersion(&driver) == cudaSuccess && driver == 0) return "there is no NVIDIA driver (libcuda.so.1 was not found)";
  const cudaError_t error = cudaGetDeviceCount(&found);
  if (error == cudaErrorInsufficientDriver) {
    static char message[160];
    std::snprintf(message, sizeof(message), "the NVIDIA driver knows CUDA %d.%d, this program needs %d.%d: install a newer driver", driver / 1000,
                  driver % 1000 / 10, CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
    return message;
  }
  if (error == cudaErrorNoDevice) return "the NVIDIA driver finds no GPU (is CUDA_VISIBLE_DEVICES empty?)";
  *count = found;
  return text(error);
}

const char* describe(std::int32_t device, GpuFacts* facts) {
  cudaDeviceProp properties{};
  if (const char* error = text(cudaGetDeviceProperties(&properties, device))) return error;
  std::snprintf(facts->name, sizeof(facts->name), "%s", properties.name);
  facts->compute_major = properties.major;
  facts->compute_minor = properties.minor;
  std::size_t free_bytes = 0;
  std::size_t all_bytes = 0;
  if (const char* error = text(cudaSetDevice(device))) return error;
  if (const char* error = text(cudaMemGetInfo(&free_bytes, &all_bytes))) return error;
  facts->free_bytes = free_bytes;
  facts->memory_bytes = all_bytes;
  return nullptr;
}

const char* use(std::int32_t device) { return text(cudaSetDevice(device)); }

const char* allocate(std::size_t bytes, void** memory) { return text(cudaMalloc(memory, bytes)); }
const char* release(void* memory) { return text(cudaFree(memory)); }
const char* allocate_pinned(std::size_t bytes, void** memory) { return text(cudaMallocHost(memory, bytes)); }
const char* release_pinned(void* memory) { return text(cudaFreeHost(memory)); }

cudaStream_t stream_of(StreamHandle stream) { return static_cast<cudaStream_t>(stream); }
cudaEvent_t event_of(EventHandle event) { return static_cast<cudaEvent_t>(event); }

const char* copy_in(void* device, const void* host, std::size_t bytes, StreamHandle stream) {
  return text(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, stream_of(stream)));
}
const char* copy_out(void* host, const void* device, std::size_t bytes, StreamHandle stream) {
  return text(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, stream_of(stream)));
}
const char* fill_zero(void* device, std::size_t bytes, StreamHandle stream) {
  return text(cudaMemsetAsync(device, 0, bytes, stream_of(stream)));
}

const char* create_stream(StreamHandle* stream) {
  cudaStream_t made = nullptr;
  // Blocking towards the default stream: what a plugin does there in bind() is done before our next kernel.
  const char* error = text(cudaStreamCreateWithFlags(&made, cudaStreamDefault));
  *stream = made;
  return error;
}
const char* destroy_stream(StreamHandle stream) { return text(cudaStreamDestroy(stream_of(stream))); }
const char* wait_for_stream(StreamHandle stream) { return text(cudaStreamSynchronize(stream_of(stream))); }
const char* wait_for_device() { return text(cudaDeviceSynchronize()); }

const char* create_event(EventHandle* event) {
  cudaEvent_t made = nullptr;
  const char* error = text(cudaEventCreateWithFlags(&made, cudaEventDisableTiming));
  *event = made;
  return error;
}
const char* destroy_event(EventHandle event) { return text(cudaEventDestroy(event_of(event))); }
const char* record(EventHandle event, StreamHandle stream) { return text(cudaEventRecord(event_of(event), stream_of(stream))); }
const char* wait_for_event(EventHandle event) { return text(cudaEventSynchronize(event_of(event))); }

}  // namespace
}  // namespace rechost

RECHOST_MODULE_EXPORT const rechost::CudaRuntime* rechost_cuda_runtime() {
  using namespace rechost;
  static const CudaRuntime table = [] {
    CudaRuntime made;
    made.build = RECHOST_VERSION;
    made.device_count = device_count;
    made.describe = describe;
    made.use = use;
    made.allocate = allocate;
    made.release = release;
    made.allocate_pinned = allocate_pinned;
    made.release_pinned = release_pinned;
    made.copy_in = copy_in;
    made.copy_out = copy_out;
    made.fill_zero = fill_zero;
    made.create_stream = create_stream;
    made.destroy_stream = destroy_stream;
    made.wait_for_stream = wait_for_stream;
    made.wait_for_device = wait_for_device;
    made.create_event = create_event;
    made.destroy_event = destroy_event;
    made.record = record;
    made.wait_for_event = wait_for_event;
    return made;
  }();
  return &table;
}
