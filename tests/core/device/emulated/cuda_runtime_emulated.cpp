// A GPU that is played by the CPU, in host memory: what the kernels' sources are linked with instead of CUDA. Streams do at once what they are
// told. It is stricter than CUDA about what it can see:
//  - a copy whose device side is not inside one live allocation, or whose host side is, is an error;
//  - memory that nobody has written is full of NaNs, and each allocation ends (to 64 bytes) before a page that nobody may touch;
//  - device memory is closed to the program between the calls. Kernels and plugins open it by touching it; the program's own code ends in
//    abort() with a message when it does, as it would with a real GPU. (A read through libc's memcpy goes unseen.)
#include <link.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <csignal>
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

struct Allocation {
  std::size_t bytes = 0;
  char* mapping = nullptr;
  std::size_t mapped = 0;  ///< whole pages, without the one behind them that stays closed
};

std::size_t page_bytes() { return static_cast<std::size_t>(sysconf(_SC_PAGESIZE)); }

struct Allocations {
  std::mutex mutex;
  std::map<char*, Allocation> device;  ///< by the address that was handed out
  std::set<void*> pinned;

  /// The allocation in whose pages an address lies.
  const Allocation* find(const void* memory) {
    for (const auto& [first, allocation] : device) {
      if (memory >= allocation.mapping && memory < allocation.mapping + allocation.mapped) return &allocation;
    }
    return nullptr;
  }
  bool holds(const void* memory, std::size_t bytes) {
    auto* const at = static_cast<char*>(const_cast<void*>(memory));
    auto after = device.upper_bound(at);
    if (after == device.begin()) return false;
    --after;
    return at + bytes <= after->first + after->second.bytes;
  }
  void protect(int mode) {
    for (const auto& [first, allocation] : device) mprotect(allocation.mapping, allocation.mapped, mode);
  }
};

Allocations& allocations() {
  static Allocations all;
  return all;
}

struct Range {
  std::uintptr_t begin = UINTPTR_MAX;
  std::uintptr_t end = 0;
};

/// Where the program's own code lies: the first object that the loader lists.
Range program_range() {
  Range range;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* data) {
        auto& found = *static_cast<Range*>(data);
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          if (info->dlpi_phdr[i].p_type != PT_LOAD) continue;
          const std::uintptr_t begin = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
          found.begin = begin < found.begin ? begin : found.begin;
          found.end = begin + info->dlpi_phdr[i].p_memsz > found.end ? begin + info->dlpi_phdr[i].p_memsz : found.end;
        }
        return 1;
      },
      &range);
  return range;
}

void on_fault(int, siginfo_t* info, void* context) {
  static const Range program = program_range();
  const Allocation* const found = allocations().find(info->si_addr);
  if (found == nullptr) {
    std::signal(SIGSEGV, SIG_DFL);  // not ours: it comes again, and ends the process
    return;
  }
  const auto where = static_cast<std::uintptr_t>(static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP]);
  if (where >= program.begin && where < program.end) {
    static const char kMessage[] = "emulated GPU: the program itself touches memory of the device\n";
    (void)!write(STDERR_FILENO, kMessage, sizeof(kMessage) - 1);
    std::abort();
  }
  mprotect(found->mapping, found->mapped, PROT_READ | PROT_WRITE);
}

/// Open while it lives, closed to the program afterwards.
class OpenMemory {
 public:
  OpenMemory() : lock_(allocations().mutex) { allocations().protect(PROT_READ | PROT_WRITE); }
  ~OpenMemory() {
    allocations().protect(PROT_NONE);
    // Each time: a test program may have put its own there meanwhile.
    struct sigaction action {};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGSEGV, &action, nullptr);
  }
  OpenMemory(const OpenMemory&) = delete;  // closes what it has opened
  OpenMemory& operator=(const OpenMemory&) = delete;

 private:
  std::lock_guard<std::mutex> lock_;
};

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
  const OpenMemory open;
  constexpr std::size_t kAlignment = 64;
  const std::size_t page = page_bytes();
  Allocation made;
  made.bytes = bytes;
  made.mapped = (bytes + page - 1) / page * page;
  void* const mapping = mmap(nullptr, made.mapped + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) return "out of memory";
  made.mapping = static_cast<char*>(mapping);
  mprotect(made.mapping + made.mapped, page, PROT_NONE);
  std::memset(made.mapping, kPoison, made.mapped);
  char* const first = made.mapping + (made.mapped - bytes) / kAlignment * kAlignment;
  allocations().device[first] = made;
  *memory = first;
  return nullptr;
}

const char* release(void* memory) {
  const OpenMemory open;
  Allocations& all = allocations();
  const auto found = all.device.find(static_cast<char*>(memory));
  if (found == all.device.end()) return "freed twice, or never allocated";
  munmap(found->second.mapping, found->second.mapped + page_bytes());
  all.device.erase(found);
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
  if (!allocations().holds(device, bytes)) return "a copy outside of the memory of the device";
  if (allocations().find(host) != nullptr) return "a copy whose host side lies on the device";
  return nullptr;
}

const char* copy_in(void* device, const void* host, std::size_t bytes, StreamHandle) {
  const OpenMemory open;
  if (const char* error = check_copy(device, host, bytes)) return error;
  std::memcpy(device, host, bytes);
  return nullptr;
}

const char* copy_out(void* host, const void* device, std::size_t bytes, StreamHandle) {
  const OpenMemory open;
  if (const char* error = check_copy(device, host, bytes)) return error;
  std::memcpy(host, device, bytes);
  return nullptr;
}

const char* fill_zero(void* device, std::size_t bytes, StreamHandle) {
  const OpenMemory open;
  if (!allocations().holds(device, bytes)) return "zeros outside of the memory of the device";
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
const char* nothing_to_wait_for(void*) {
  const OpenMemory closed_again;
  return nullptr;
}

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
