#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "device/cuda_runtime.h"

namespace rechost {

/// The module rechost_cuda, opened. It is a library of its own, so that the program starts on machines without CUDA; it needs nothing but
/// the driver's libcuda.so.1, and that only where a GPU is used. Stays open until the process ends: streams and memory outlive any owner.
class CudaModule {
 public:
  /// Throws DeviceError when the file is missing, cannot be loaded or belongs to another build.
  static CudaModule open(const std::filesystem::path& path);

  const CudaRuntime& runtime() const { return *runtime_; }
  const std::filesystem::path& path() const { return path_; }

  /// The address of a function; throws DeviceError when the module lacks it.
  template <typename Function>
  Function function(const char* name) const {
    return reinterpret_cast<Function>(symbol(name));
  }

 private:
  CudaModule() = default;
  void* symbol(const char* name) const;

  std::filesystem::path path_;
  void* library_ = nullptr;
  const CudaRuntime* runtime_ = nullptr;
};

/// The GPUs that can be used. Throws DeviceError saying why there are none.
std::vector<GpuFacts> list_gpus(const CudaModule& module);

/// Throws DeviceError "<doing>: <error>" unless `error` is null.
void require_cuda(const char* error, const std::string& doing);

}  // namespace rechost
