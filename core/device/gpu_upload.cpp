#include "device/gpu_upload.h"

#include "base/error.h"

namespace rechost {

void GpuUpload::begin(std::size_t bytes) {
  taken_.wait();
  if (staging_.bytes() < bytes) staging_ = PinnedBuffer(gpu_, bytes + bytes / 4, purpose_);
  device_.reserve(gpu_, bytes, purpose_);
  used_ = 0;
  limit_ = bytes;
}

void* GpuUpload::add_bytes(const void* values, std::size_t bytes) {
  if (used_ + bytes > limit_) fail<Error>("{}: {} bytes more than were asked for", purpose_, used_ + bytes - limit_);
  void* const where = device_.data<std::byte>() + used_;
  if (bytes > 0) std::memcpy(staging_.data() + used_, values, bytes);
  used_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
  return where;
}

void GpuUpload::finish() {
  gpu_->queue_copy_in(device_.data<std::byte>(), staging_, used_);
  taken_.record();
}

}  // namespace rechost
