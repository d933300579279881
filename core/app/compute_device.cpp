#include "app/compute_device.h"

#include <mutex>

#include "app/environment.h"
#include "app/setup.h"
#include "base/error.h"
#include "base/log.h"
#include "device/instruction_set.h"

namespace rechost::app {

namespace fs = std::filesystem;

namespace {

fs::path cuda_module_path() {
  if (const auto path = environment_variable("RECHOST_CUDA_MODULE"); path && !path->empty()) return *path;
  return host_module("rechost_cuda.so");
}

bool driver_is_loaded() { return fs::exists("/dev/nvidiactl"); }

/// A command may load two models; where it computes is said once.
void say_once(const std::string& line) {
  static std::once_flag said;
  std::call_once(said, [&] { log_info("{}", line); });
}

}  // namespace

std::shared_ptr<Gpu> choose_gpu(const RunSection& run, int processes) {
  if (run.device == "cpu") return nullptr;
  std::string reason;
  try {
    // GpuTables holds all rows and exchanges nothing, so several of them would drift apart without a word.
    if (processes > 1) fail<DeviceError>("a GPU trains in one process so far, and this run has {}", processes);
    std::shared_ptr<Gpu> gpu = Gpu::use(CudaModule::open(cuda_module_path()), 0);
    say_once(fmt::format("running on GPU 0: {}, {}", gpu->facts().name, bytes_text(gpu->facts().memory_bytes)));
    return gpu;
  } catch (const DeviceError& error) {
    reason = error.what();
  }
  if (run.device == "cuda") fail<ConfigError>("run.device = \"cuda\": {}; or use \"cpu\" or \"auto\"", reason);
  // Nobody who has no GPU needs to hear of builds.
  if (!driver_is_loaded() && !fs::exists(cuda_module_path())) reason = "there is no NVIDIA driver";
  say_once("running on the CPU: " + reason);
  return nullptr;
}

void require_precision(const RunSection& run, const Gpu* gpu) {
  if (run.precision != "bf16") return;
  constexpr std::int32_t kFirstWithBfloat16 = 8;  // Ampere
  constexpr const char* kRemedy = "set run.precision = \"fp32\" (or \"bf16_emulated\", many times slower, to see what bf16 does to a model)";
  if (gpu == nullptr && !computes_bfloat16()) {
    fail<ConfigError>("run.precision = \"bf16\": this processor has no instructions for it (AVX512_BF16); {}", kRemedy);
  }
  if (gpu != nullptr && gpu->facts().compute_major < kFirstWithBfloat16) {
    fail<ConfigError>("run.precision = \"bf16\": {} has no units for it (compute capability {}.{}, at least 8.0 is needed); {}", gpu->facts().name,
                      gpu->facts().compute_major, gpu->facts().compute_minor, kRemedy);
  }
}

GpuFinding look_for_gpus() {
  try {
    const CudaModule module = CudaModule::open(cuda_module_path());
    std::string value;
    for (const GpuFacts& gpu : list_gpus(module)) {
      value += fmt::format("{}{}, {} of {} free, compute capability {}.{}", value.empty() ? "" : "; ", gpu.name, bytes_text(gpu.free_bytes),
                           bytes_text(gpu.memory_bytes), gpu.compute_major, gpu.compute_minor);
    }
    return {value, ""};
  } catch (const DeviceError& error) {
    // Without a driver there is nothing to repair: this machine trains on the CPU.
    if (!driver_is_loaded()) return {fmt::format("none, training runs on the CPU: {}", error.what()), ""};
    return {"an NVIDIA driver is loaded, but training runs on the CPU", error.what()};
  }
}

}  // namespace rechost::app
