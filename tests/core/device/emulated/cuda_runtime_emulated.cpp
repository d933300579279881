// A GPU that is played by the CPU, in host memory: what the kernels' sources are linked with instead of CUDA. Streams do at once what they are
// told. It is stricter than CUDA about what it can see: a copy whose device side is not inside one live allocation, or whose host side is, is
// an error; memory that nobody has written is full of NaNs; what has been freed is filled with them.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <set>

#include "device/cuda_runtime.h"
#include "device/host_device.h"

namespace rechost {
namespace {

constexpr int kPoison = 0xff;  // bytes of a float or double that is not a number

struct Allocations {
  std::mutex mutex;
  std::map<const char*, std::size_t> device;
  std::set<void*> pinned;

  bool holds(const void* memory, std::size_t bytes) {
    const auto* const at = static_cast<const char*>(memory);
    auto after = device.upper_bound(at);
    if (after == device.begin()) return false;
    --after;
    return at + bytes <= after->first + after->second;
  }
};

Allocations& allocations() {
  static Allocations all;
  return all;
}

const char* device_count(std::int32_t* count) {
  *count = 1;
  return nullptr;
}

const char* describe(std::int32_t device, GpuFacts* facts) {
  if (device != 0) return "there is one emulated GPU";
  std::snprintf(facts->name, sizeof(facts->name), "emulated on the CPU");
  facts->memory_bytes = std::uint64_t{1} << 34;
  facts->free_bytes = facts->memory_bytes;
  return nullptr;
}

const char* use(std::int32_t device) { return device == 0 ? nullptr : "there is one emulated GPU"; }

const char* allocate(std::size_t bytes, void** memory) {
  if (bytes > std::size_t{1} << 34) return "out of memory";
  *memory = std::malloc(bytes);
  if (*memory == nullptr) return "out of memory";
  std::memset(*memory, kPoison, bytes);
  Allocations& all = allocations();
  const std::lock_guard<std::mutex> lock(all.mutex);
  all.device[static_cast<const char*>(*memory)] = bytes;
  return nullptr;
}

const char* release(void* memory) {
  Allocations& all = allocations();
  const std::lock_guard<std::mutex> lock(all.mutex);
  const auto found = all.device.find(static_cast<const char*>(memory));
  if (found == all.device.end()) return "freed twice, or never allocated";
  std::memset(memory, kPoison, found->second);
  all.device.erase(found);
  std::free(memory);
  return nullptr;
}

const char* allocate_pinned(std::size_t bytes, void** memory) {
  *memory = std::malloc(bytes);
  if (*memory == nullptr) return "out of memory";
  Allocations& all = allocations();
  const std::lock_guard<std::mutex> lock(all.mutex);
  all.pinned.insert(*memory);
  return nullptr;
}

const char* release_pinned(void* memory) {
  Allocations& all = allocations();
  const std::lock_guard<std::mutex> lock(all.mutex);
  if (all.pinned.erase(memory) == 0) return "freed twice, or never allocated";
  std::free(memory);
  return nullptr;
}

const char* check_copy(const void* device, const void* host, std::size_t bytes) {
  Allocations& all = allocations();
  const std::lock_guard<std::mutex> lock(all.mutex);
  if (!all.holds(device, bytes)) return "a copy outside of the memory of the device";
  if (all.holds(host, 1)) return "a copy whose host side lies on the device";
  return nullptr;
}

const char* copy_in(void* device, const void* host, std::size_t bytes, StreamHandle) {
  if (const char* error = check_copy(device, host, bytes)) return error;
  std::memcpy(device, host, bytes);
  return nullptr;
}

const char* copy_out(void* host, const void* device, std::size_t bytes, StreamHandle) {
  if (const char* error = check_copy(device, host, bytes)) return error;
  std::memcpy(host, device, bytes);
  return nullptr;
}

const char* fill_zero(void* device, std::size_t bytes, StreamHandle) {
  Allocations& all = allocations();
  const std::lock_guard<std::mutex> lock(all.mutex);
  if (!all.holds(device, bytes)) return "zeros outside of the memory of the device";
  std::memset(device, 0, bytes);
  return nullptr;
}

const char* create_handle(void** handle) {
  *handle = std::malloc(1);
  return nullptr;
}
const char* destroy_handle(void* handle) {
  std::free(handle);
  return nullptr;
}
const char* nothing_to_wait_for(void*) { return nullptr; }

}  // namespace
}  // namespace rechost

RECHOST_MODULE_EXPORT const rechost::CudaRuntime* rechost_cuda_runtime() {
  using namespace rechost;
  static const CudaRuntime table = [] {
    CudaRuntime made;
    made.build = RECHOST_VERSION;
    made.device_memory_is_host = true;
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
    made.create_stream = create_handle;
    made.destroy_stream = destroy_handle;
    made.wait_for_stream = nothing_to_wait_for;
    made.wait_for_device = [] { return static_cast<const char*>(nullptr); };
    made.create_event = create_handle;
    made.destroy_event = destroy_handle;
    made.record = [](EventHandle, StreamHandle) { return static_cast<const char*>(nullptr); };
    made.wait_for_event = nothing_to_wait_for;
    return made;
  }();
  return &table;
}
