#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string>

#include "device/gpu.h"

namespace rechost {

/// Brings the many small arrays of a batch to the GPU in one copy: begin() with the bytes they need, add() each, finish(). Addresses on the
/// device are good until the next begin(), which waits until the GPU has taken the copy before.
class GpuUpload {
 public:
  GpuUpload(std::shared_ptr<const Gpu> gpu, std::string purpose) : gpu_(std::move(gpu)), purpose_(std::move(purpose)), taken_(gpu_) {}

  /// What an array takes.
  template <typename Element>
  static std::size_t bytes_of(std::span<const Element> values) {
    return (values.size_bytes() + kAlignment - 1) / kAlignment * kAlignment;
  }

  void begin(std::size_t bytes);

  /// Where the values will lie on the device.
  template <typename Element>
  Element* add(std::span<const Element> values) {
    return static_cast<Element*>(add_bytes(values.data(), values.size_bytes()));
  }

  /// Queues the copy.
  void finish();

 private:
  static constexpr std::size_t kAlignment = 64;

  void* add_bytes(const void* values, std::size_t bytes);

  std::shared_ptr<const Gpu> gpu_;
  std::string purpose_;
  GpuEvent taken_;
  PinnedBuffer staging_;
  DeviceBuffer device_;
  std::size_t used_ = 0;
  std::size_t limit_ = 0;
};

}  // namespace rechost
