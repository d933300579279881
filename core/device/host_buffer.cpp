#include "device/host_buffer.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include "base/error.h"

namespace rechost {

HostBuffer::HostBuffer(std::size_t bytes, std::string_view purpose) {
  if (bytes == 0) return;
  const bool representable = bytes <= std::numeric_limits<std::size_t>::max() - 2 * kAlignment;
  if (representable) {
    // mmap aligns to small pages only: ask for one huge page more and start at the first aligned byte.
    mapping_bytes_ = bytes + kAlignment;
    mapping_ = mmap(nullptr, mapping_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  }
  if (!representable || mapping_ == MAP_FAILED) {
    const int reason = representable ? errno : ENOMEM;
    mapping_ = nullptr;
    fail<DeviceError>("not enough memory for {}: {} bytes ({:.1f} GiB) were refused ({}); use fewer rows, a smaller dim or more processes",
                      purpose, bytes, static_cast<double>(bytes) / (1 << 30), std::strerror(reason));
  }
  const auto address = reinterpret_cast<std::uintptr_t>(mapping_);
  data_ = reinterpret_cast<std::byte*>((address + kAlignment - 1) / kAlignment * kAlignment);
  bytes_ = bytes;
  // A kernel without huge pages refuses; small pages give the same results, only slower.
  (void)madvise(data_, bytes_, MADV_HUGEPAGE);
}

HostBuffer::~HostBuffer() { release(); }

HostBuffer::HostBuffer(HostBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)),
      mapping_(std::exchange(other.mapping_, nullptr)),
      mapping_bytes_(std::exchange(other.mapping_bytes_, 0)) {}

HostBuffer& HostBuffer::operator=(HostBuffer&& other) noexcept {
  if (this != &other) {
    release();
    data_ = std::exchange(other.data_, nullptr);
    bytes_ = std::exchange(other.bytes_, 0);
    mapping_ = std::exchange(other.mapping_, nullptr);
    mapping_bytes_ = std::exchange(other.mapping_bytes_, 0);
  }
  return *this;
}

void HostBuffer::release() noexcept {
  if (mapping_ != nullptr) munmap(mapping_, mapping_bytes_);
  data_ = nullptr;
  bytes_ = 0;
  mapping_ = nullptr;
  mapping_bytes_ = 0;
}

}  // namespace rechost
