#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace rechost {

/// Owns host memory for something large: mapped, aligned to 2 MiB, and marked for huge pages, so that random reads of a table do not miss
/// the TLB each time. Reads as zero. Physical pages come with the first write and lie near the thread that makes it, so let the threads
/// that will use the memory fill it.
class HostBuffer {
 public:
  static constexpr std::size_t kAlignment = std::size_t{2} << 20;

  HostBuffer() = default;

  /// Throws DeviceError naming `purpose` and the bytes when the system refuses. `bytes` may be 0.
  HostBuffer(std::size_t bytes, std::string_view purpose);
  ~HostBuffer();
  HostBuffer(HostBuffer&& other) noexcept;
  HostBuffer& operator=(HostBuffer&& other) noexcept;
  HostBuffer(const HostBuffer&) = delete;  // too large to copy unasked
  HostBuffer& operator=(const HostBuffer&) = delete;

  std::size_t bytes() const { return bytes_; }
  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }

  /// The memory as elements. The view is good while the buffer lives and is not moved from.
  template <typename Element>
  std::span<Element> view() {
    return {reinterpret_cast<Element*>(data_), bytes_ / sizeof(Element)};
  }
  template <typename Element>
  std::span<const Element> view() const {
    return {reinterpret_cast<const Element*>(data_), bytes_ / sizeof(Element)};
  }

 private:
  void release() noexcept;

  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
  void* mapping_ = nullptr;  // what mmap returned: data_ is its first aligned byte
  std::size_t mapping_bytes_ = 0;
};

}  // namespace rechost
