#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "device/cuda_module.h"

namespace rechost {

class PinnedBuffer;

/// One GPU in use, and the stream on which all work of a training run is queued. Owners of its memory keep it alive. Its functions may be
/// called on any thread; a stream's order is the order of the calls.
class Gpu {
 public:
  /// Throws DeviceError when the device cannot be used.
  static std::shared_ptr<Gpu> use(CudaModule module, std::int32_t device);
  ~Gpu();
  Gpu(const Gpu&) = delete;  // one owner of the stream
  Gpu& operator=(const Gpu&) = delete;

  const CudaModule& module() const { return module_; }
  const CudaRuntime& runtime() const { return module_.runtime(); }
  const GpuFacts& facts() const { return facts_; }
  std::int32_t device() const { return device_; }
  StreamHandle stream() const { return stream_; }

  /// Makes the device current on the calling thread. Needed once on each thread that queues work.
  void make_current() const;

  /// Both wait for the copy, and so for all that is queued before it.
  void copy_in(void* device, const void* host, std::size_t bytes) const;
  void copy_out(void* host, const void* device, std::size_t bytes) const;
  /// Only queued: the host memory must be pinned, and stay as it is until the stream has passed.
  void queue_copy_in(void* device, const PinnedBuffer& host, std::size_t bytes) const;
  void fill_zero(void* device, std::size_t bytes) const;

  /// Returns when all that is queued is done; throws DeviceError for what went wrong on the way.
  void wait() const;
  /// The same for all streams, a plugin's own too.
  void wait_for_all_streams() const;

 private:
  Gpu(CudaModule module, std::int32_t device) : module_(std::move(module)), device_(device) {}

  CudaModule module_;
  std::int32_t device_;
  GpuFacts facts_;
  StreamHandle stream_ = nullptr;
};

/// Owns memory on a GPU. Its content is unspecified until it is written.
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  /// Throws DeviceError naming `purpose`, the bytes and what is free. `bytes` may be 0.
  DeviceBuffer(std::shared_ptr<const Gpu> gpu, std::size_t bytes, std::string_view purpose);
  ~DeviceBuffer();
  DeviceBuffer(DeviceBuffer&& other) noexcept;
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept;
  DeviceBuffer(const DeviceBuffer&) = delete;  // too large to copy unasked
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;

  std::size_t bytes() const { return bytes_; }
  /// An address on the device: the host must not read it.
  template <typename Element>
  Element* data() const {
    return static_cast<Element*>(memory_);
  }
  /// Makes room for `bytes`; what was in it may be gone. Waits for the stream when it has to move.
  void reserve(const std::shared_ptr<const Gpu>& gpu, std::size_t bytes, std::string_view purpose);

 private:
  void release() noexcept;

  std::shared_ptr<const Gpu> gpu_;
  void* memory_ = nullptr;
  std::size_t bytes_ = 0;
};

/// Owns host memory from which the GPU copies by itself while the host goes on.
class PinnedBuffer {
 public:
  PinnedBuffer() = default;
  PinnedBuffer(std::shared_ptr<const Gpu> gpu, std::size_t bytes, std::string_view purpose);
  ~PinnedBuffer();
  PinnedBuffer(PinnedBuffer&& other) noexcept;
  PinnedBuffer& operator=(PinnedBuffer&& other) noexcept;
  PinnedBuffer(const PinnedBuffer&) = delete;  // one owner
  PinnedBuffer& operator=(const PinnedBuffer&) = delete;

  std::size_t bytes() const { return bytes_; }
  std::byte* data() const { return static_cast<std::byte*>(memory_); }

 private:
  void release() noexcept;

  std::shared_ptr<const Gpu> gpu_;
  void* memory_ = nullptr;
  std::size_t bytes_ = 0;
};

/// A point that the stream passes.
class GpuEvent {
 public:
  explicit GpuEvent(std::shared_ptr<const Gpu> gpu);
  ~GpuEvent();
  GpuEvent(const GpuEvent&) = delete;  // one owner
  GpuEvent& operator=(const GpuEvent&) = delete;

  void record();
  /// Waits until the stream has passed the last record(); at once when there was none.
  void wait() const;

 private:
  std::shared_ptr<const Gpu> gpu_;
  EventHandle event_ = nullptr;
};

}  // namespace rechost
