#pragma once

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <vector>

#include "device/gpu.h"

namespace rechost::test {

inline std::filesystem::path module_path(const char* name) {
  const char* const build = std::getenv("RECHOST_BUILD_DIR");
  return std::filesystem::path(build == nullptr ? "build/ci" : build) / "lib/rechost" / name;
}

/// The GPU that the CPU plays: all of the GPU's code but CUDA itself, on every machine.
inline std::shared_ptr<Gpu> emulated_gpu() { return Gpu::use(CudaModule::open(module_path("rechost_cuda_emulated.so")), 0); }

/// A real one. Throws where there is none: a test of label "gpu" fails there, it does not skip.
inline std::shared_ptr<Gpu> real_gpu() { return Gpu::use(CudaModule::open(module_path("rechost_cuda.so")), 0); }

/// Some values on a GPU.
template <typename Element>
class OnGpu {
 public:
  OnGpu(std::shared_ptr<const Gpu> gpu, const std::vector<Element>& values)
      : gpu_(std::move(gpu)), count_(values.size()), buffer_(gpu_, values.size() * sizeof(Element), "values of a test") {
    gpu_->copy_in(buffer_.data<Element>(), values.data(), count_ * sizeof(Element));
  }
  Element* data() const { return buffer_.data<Element>(); }
  std::vector<Element> read() const {
    std::vector<Element> values(count_);
    gpu_->copy_out(values.data(), buffer_.data<Element>(), count_ * sizeof(Element));
    return values;
  }

 private:
  std::shared_ptr<const Gpu> gpu_;
  std::size_t count_;
  DeviceBuffer buffer_;
};

}  // namespace rechost::test
