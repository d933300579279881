#include "data/page_memory.h"

#include <sys/mman.h>

#include <cstring>

#include "base/error.h"

namespace rechost {
namespace {

constexpr std::size_t kHugePageBytes = std::size_t{2} << 20;

std::size_t whole_pages(std::size_t bytes) {
  constexpr std::size_t page = 4096;
  return (bytes + page - 1) / page * page;
}

/// Rows are read in random order; with small pages half the time would go into address translation. Only advice: it may be refused.
void advise_huge_pages(void* data, std::size_t bytes) {
  if (bytes >= kHugePageBytes) madvise(data, bytes, MADV_HUGEPAGE);
}

[[noreturn]] void no_room(std::size_t bytes) {
  fail<DeviceError>("no memory for {} MiB of rows ({}); lower data.memory_gib", bytes >> 20, std::strerror(errno));
}

}  // namespace

PageMemory::PageMemory(std::size_t bytes) : bytes_(whole_pages(bytes)) {
  if (bytes_ == 0) return;
  void* const data = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) no_room(bytes_);
  data_ = data;
  advise_huge_pages(data_, bytes_);
}

PageMemory::~PageMemory() {
  if (data_ != nullptr) munmap(data_, bytes_);
}

PageMemory& PageMemory::operator=(PageMemory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

void PageMemory::grow(std::size_t bytes) {
  const std::size_t wanted = whole_pages(bytes);
  if (wanted <= bytes_) return;
  if (data_ == nullptr) {
    *this = PageMemory(wanted);
    return;
  }
  void* const data = mremap(data_, bytes_, wanted, MREMAP_MAYMOVE);
  if (data == MAP_FAILED) no_room(wanted);
  data_ = data;
  bytes_ = wanted;
  advise_huge_pages(data_, bytes_);
}

}  // namespace rechost
