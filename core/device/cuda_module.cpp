#include "device/cuda_module.h"

#include <dlfcn.h>

#include "base/error.h"
#include "base/version.h"

namespace rechost {

CudaModule CudaModule::open(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) {
    fail<DeviceError>("this build has no CUDA module ({} is missing): build with the preset \"cuda\"", path.string());
  }
  CudaModule module;
  module.path_ = path;
  // Local: its static copy of CUDA's runtime must not serve LibTorch's libraries, nor theirs it.
  module.library_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (module.library_ == nullptr) fail<DeviceError>("the CUDA module cannot be loaded: {}", dlerror());
  module.runtime_ = module.function<CudaRuntimeFunction>(kCudaRuntimeSymbol)();
  if (module.runtime_->build != version()) {
    fail<DeviceError>("{} belongs to rechost {}, this is {}: install both from one build", path.string(), module.runtime_->build, version());
  }
  return module;
}

void* CudaModule::symbol(const char* name) const {
  void* found = dlsym(library_, name);
  if (found == nullptr) fail<DeviceError>("{} has no function {}: install it and the program from one build", path_.string(), name);
  return found;
}

std::vector<GpuFacts> list_gpus(const CudaModule& module) {
  const CudaRuntime& runtime = module.runtime();
  std::int32_t count = 0;
  if (const char* error = runtime.device_count(&count)) throw DeviceError(error);
  if (count == 0) throw DeviceError("the NVIDIA driver finds no GPU");
  std::vector<GpuFacts> gpus(static_cast<std::size_t>(count));
  for (std::int32_t device = 0; device < count; ++device) {
    require_cuda(runtime.describe(device, &gpus[static_cast<std::size_t>(device)]), fmt::format("GPU {} cannot be used", device));
  }
  return gpus;
}

void require_cuda(const char* error, const std::string& doing) {
  if (error != nullptr) fail<DeviceError>("{}: {}", doing, error);
}

}  // namespace rechost
