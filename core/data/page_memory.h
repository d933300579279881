#pragma once

#include <cstddef>
#include <utility>

namespace rechost {

/// Zero-filled memory in whole pages, huge ones where the kernel has them. Room may be asked for generously: a page costs nothing before it
/// is written. Owner; movable.
class PageMemory {
 public:
  PageMemory() = default;
  /// DeviceError when the kernel has no room.
  explicit PageMemory(std::size_t bytes);
  ~PageMemory();
  PageMemory(PageMemory&& other) noexcept : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  PageMemory& operator=(PageMemory&& other) noexcept;
  PageMemory(const PageMemory&) = delete;  // one owner
  PageMemory& operator=(const PageMemory&) = delete;

  /// Pages move, their content is not copied; pointers into the memory become invalid.
  void grow(std::size_t bytes);

  void* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }

 private:
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace rechost
