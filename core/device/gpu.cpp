#include "device/gpu.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace rechost {

std::shared_ptr<Gpu> Gpu::use(CudaModule module, std::int32_t device) {
  const std::vector<GpuFacts> gpus = list_gpus(module);
  if (device < 0 || static_cast<std::size_t>(device) >= gpus.size()) fail<DeviceError>("there is no GPU {}; the driver shows {}", device, gpus.size());
  // The constructor is for this function alone, so no make_shared.
  std::shared_ptr<Gpu> gpu(new Gpu(std::move(module), device));
  gpu->facts_ = gpus[static_cast<std::size_t>(device)];
  gpu->make_current();
  require_cuda(gpu->runtime().create_stream(&gpu->stream_), "a stream cannot be made");
  return gpu;
}

Gpu::~Gpu() {
  if (stream_ == nullptr) return;
  (void)runtime().wait_for_stream(stream_);
  (void)runtime().destroy_stream(stream_);
}

void Gpu::make_current() const { require_cuda(runtime().use(device_), fmt::format("GPU {} cannot be used", device_)); }

void Gpu::copy_in(void* device, const void* host, std::size_t bytes) const {
  if (bytes == 0) return;
  require_cuda(runtime().copy_in(device, host, bytes, stream_), "copy to the GPU");
  wait();
}

void Gpu::copy_out(void* host, const void* device, std::size_t bytes) const {
  if (bytes == 0) return;
  require_cuda(runtime().copy_out(host, device, bytes, stream_), "copy from the GPU");
  wait();
}

void Gpu::queue_copy_in(void* device, const PinnedBuffer& host, std::size_t bytes) const {
  if (bytes > 0) require_cuda(runtime().copy_in(device, host.data(), bytes, stream_), "copy to the GPU");
}

void Gpu::fill_zero(void* device, std::size_t bytes) const {
  if (bytes > 0) require_cuda(runtime().fill_zero(device, bytes, stream_), "clearing memory of the GPU");
}

void Gpu::wait() const { require_cuda(runtime().wait_for_stream(stream_), "work on the GPU failed"); }

void Gpu::wait_for_all_streams() const { require_cuda(runtime().wait_for_device(), "work on the GPU failed"); }

DeviceBuffer::DeviceBuffer(std::shared_ptr<const Gpu> gpu, std::size_t bytes, std::string_view purpose) : gpu_(std::move(gpu)) {
  if (bytes == 0) return;
  gpu_->make_current();
  if (const char* error = gpu_->runtime().allocate(bytes, &memory_)) {
    memory_ = nullptr;
    GpuFacts now;
    (void)gpu_->runtime().describe(gpu_->device(), &now);
    constexpr double kGib = 1 << 30;
    fail<DeviceError>("not enough memory on GPU {} for {}: {} bytes ({:.1f} GiB) were refused with {:.1f} GiB free ({}); use fewer rows, a "
                      "smaller dim or run.device = \"cpu\"",
                      gpu_->device(), purpose, bytes, static_cast<double>(bytes) / kGib, static_cast<double>(now.free_bytes) / kGib, error);
  }
  bytes_ = bytes;
}

DeviceBuffer::~DeviceBuffer() { release(); }

DeviceBuffer::DeviceBuffer(DeviceBuffer&& other) noexcept
    : gpu_(std::move(other.gpu_)), memory_(std::exchange(other.memory_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

DeviceBuffer& DeviceBuffer::operator=(DeviceBuffer&& other) noexcept {
  if (this != &other) {
    release();
    gpu_ = std::move(other.gpu_);
    memory_ = std::exchange(other.memory_, nullptr);
    bytes_ = std::exchange(other.bytes_, 0);
  }
  return *this;
}

void DeviceBuffer::reserve(const std::shared_ptr<const Gpu>& gpu, std::size_t bytes, std::string_view purpose) {
  if (bytes <= bytes_) return;
  // Nothing queued may still use it. Freed before the larger one is asked for, so that growing never needs both; with a quarter more, so
  // that batches of nearly one size grow it once.
  gpu->wait();
  release();
  *this = DeviceBuffer(gpu, bytes + bytes / 4, purpose);
}

void DeviceBuffer::release() noexcept {
  // CUDA frees only after all work on the device is done, so nothing queued still reads it.
  if (memory_ != nullptr) (void)gpu_->runtime().release(memory_);
  memory_ = nullptr;
  bytes_ = 0;
}

PinnedBuffer::PinnedBuffer(std::shared_ptr<const Gpu> gpu, std::size_t bytes, std::string_view purpose) : gpu_(std::move(gpu)) {
  if (bytes == 0) return;
  gpu_->make_current();
  require_cuda(gpu_->runtime().allocate_pinned(bytes, &memory_), fmt::format("{} bytes of pinned host memory for {} were refused", bytes, purpose));
  bytes_ = bytes;
}

PinnedBuffer::~PinnedBuffer() { release(); }

PinnedBuffer::PinnedBuffer(PinnedBuffer&& other) noexcept
    : gpu_(std::move(other.gpu_)), memory_(std::exchange(other.memory_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

PinnedBuffer& PinnedBuffer::operator=(PinnedBuffer&& other) noexcept {
  if (this != &other) {
    release();
    gpu_ = std::move(other.gpu_);
    memory_ = std::exchange(other.memory_, nullptr);
    bytes_ = std::exchange(other.bytes_, 0);
  }
  return *this;
}

void PinnedBuffer::release() noexcept {
  if (memory_ != nullptr) (void)gpu_->runtime().release_pinned(memory_);
  memory_ = nullptr;
  bytes_ = 0;
}

GpuEvent::GpuEvent(std::shared_ptr<const Gpu> gpu) : gpu_(std::move(gpu)) {
  gpu_->make_current();
  require_cuda(gpu_->runtime().create_event(&event_), "an event cannot be made");
}

GpuEvent::~GpuEvent() { (void)gpu_->runtime().destroy_event(event_); }

void GpuEvent::record() { require_cuda(gpu_->runtime().record(event_, gpu_->stream()), "an event cannot be recorded"); }

void GpuEvent::wait() const { require_cuda(gpu_->runtime().wait_for_event(event_), "work on the GPU failed"); }

}  // namespace rechost
