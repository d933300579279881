#include "embedding/file_rows.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

#include "base/error.h"

namespace rechost {
namespace {

std::int32_t load_relaxed(const std::int32_t& value) { return std::atomic_ref(const_cast<std::int32_t&>(value)).load(std::memory_order_relaxed); }
void store_relaxed(std::int32_t& to, std::int32_t value) { std::atomic_ref(to).store(value, std::memory_order_relaxed); }

}  // namespace

FileRows::FileRows(const std::filesystem::path& directory, std::string_view name, std::int64_t rows, std::int64_t stride, std::int64_t cached_rows)
    : name_(name), stride_(stride), row_bytes_(static_cast<std::uint64_t>(stride) * sizeof(float)), file_(directory) {
  file_.reserve(static_cast<std::uint64_t>(rows) * row_bytes_);
  // Rows are read one here, one there: their neighbours would be read for nothing.
  (void)posix_fadvise(file_.number(), 0, 0, POSIX_FADV_RANDOM);
  slot_of_row_.assign(static_cast<std::size_t>(rows), kNone);
  grow(std::clamp<std::int64_t>(cached_rows, 1, rows));
}

void FileRows::grow(std::int64_t places) {
  const auto bytes = static_cast<std::size_t>(places * stride_) * sizeof(float);
  HostBuffer larger(bytes, fmt::format("the cached rows of table \"{}\"", name_));
  if (cache_.bytes() > 0) std::memcpy(larger.data(), cache_.data(), cache_.bytes());
  cache_ = std::move(larger);
  places_.resize(static_cast<std::size_t>(places));
}

void FileRows::read(std::int64_t first, std::int64_t count, float* rows) const {
  file_.read(static_cast<std::uint64_t>(first) * row_bytes_, rows, static_cast<std::size_t>(count) * row_bytes_);
  const float* const cached = cache_.view<float>().data();
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int32_t slot = slot_of_row_[static_cast<std::size_t>(first + i)];
    if (slot != kNone) std::memcpy(rows + i * stride_, cached + slot * stride_, row_bytes_);
  }
}

void FileRows::write(std::int64_t first, std::int64_t count, const float* rows) {
  file_.write(static_cast<std::uint64_t>(first) * row_bytes_, rows, static_cast<std::size_t>(count) * row_bytes_);
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int32_t slot = slot_of_row_[static_cast<std::size_t>(first + i)];
    if (slot != kNone) std::memcpy(cached() + slot * stride_, rows + i * stride_, row_bytes_);
  }
}

std::int32_t FileRows::take_place() {
  if (free_places_ < places_.size()) return static_cast<std::int32_t>(free_places_++);
  // Ends: there are more places than rows of this batch, and a second round finds the others not used again.
  for (;; hand_ = hand_ + 1 == places_.size() ? 0 : hand_ + 1) {
    Place& place = places_[hand_];
    if (place.batch == batch_) continue;
    if (!place.used_again) return static_cast<std::int32_t>(hand_);
    place.used_again = false;
  }
}

void FileRows::find(std::span<const std::int32_t> rows, std::int32_t* slots) {
  if (rows.size() > places_.size()) grow(std::min<std::int64_t>(static_cast<std::int64_t>(slot_of_row_.size()), static_cast<std::int64_t>(rows.size() + rows.size() / 4)));
  ++batch_;
  missing_.clear();
  loads_.clear();
  constexpr std::size_t kAhead = 16;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (i + 2 * kAhead < rows.size()) __builtin_prefetch(&slot_of_row_[static_cast<std::size_t>(rows[i + 2 * kAhead])]);
    if (i + kAhead < rows.size()) {
      const std::int32_t ahead = slot_of_row_[static_cast<std::size_t>(rows[i + kAhead])];
      if (ahead != kNone) __builtin_prefetch(&places_[static_cast<std::size_t>(ahead)], 1);
    }
    const std::int32_t slot = slot_of_row_[static_cast<std::size_t>(rows[i])];
    slots[i] = slot;
    if (slot == kNone) {
      missing_.push_back(i);
      continue;
    }
    Place& place = places_[static_cast<std::size_t>(slot)];
    place.batch = batch_;
    place.used_again = true;
  }
  hits_ += rows.size() - missing_.size();
  misses_ += missing_.size();
  for (const std::size_t i : missing_) {
    const std::int32_t slot = take_place();
    Place& place = places_[static_cast<std::size_t>(slot)];
    if (place.row != kNone) store_relaxed(slot_of_row_[static_cast<std::size_t>(place.row)], kNone);
    loads_.push_back({slot, rows[i], place.changed ? place.row : kNone});
    place = {.row = rows[i], .batch = batch_};
    store_relaxed(slot_of_row_[static_cast<std::size_t>(rows[i])], slot);
    slots[i] = slot;
  }
}

void FileRows::load(ThreadPool& pool) {
  constexpr std::int64_t kPerItem = 64;
  const auto count = static_cast<std::int64_t>(loads_.size());
  pool.parallel_for((count + kPerItem - 1) / kPerItem, [&](std::int64_t item) {
    for (std::int64_t i = item * kPerItem; i < std::min(count, (item + 1) * kPerItem); ++i) {
      const Load& load = loads_[static_cast<std::size_t>(i)];
      float* const place = cached() + load.slot * stride_;
      if (load.former != kNone) file_.write(static_cast<std::uint64_t>(load.former) * row_bytes_, place, row_bytes_);
      file_.read(static_cast<std::uint64_t>(load.row) * row_bytes_, place, row_bytes_);
    }
  });
  loads_.clear();
}

void FileRows::mark_changed(std::span<const std::int32_t> slots) {
  for (const std::int32_t slot : slots) places_[static_cast<std::size_t>(slot)].changed = true;
}

void FileRows::expect(std::span<const std::int32_t> rows) const {
  constexpr std::uint64_t kPageBytes = 4096;
  std::uint64_t begin = 0;  // pages asked for in one call
  std::uint64_t end = 0;
  const auto ask = [&] {
    if (end > begin) (void)posix_fadvise(file_.number(), static_cast<off_t>(begin), static_cast<off_t>(end - begin), POSIX_FADV_WILLNEED);
  };
  for (const std::int32_t row : rows) {
    if (load_relaxed(slot_of_row_[static_cast<std::size_t>(row)]) != kNone) continue;
    const std::uint64_t first = static_cast<std::uint64_t>(row) * row_bytes_;
    if (first / kPageBytes * kPageBytes > end) {
      ask();
      begin = first / kPageBytes * kPageBytes;
    }
    end = (first + row_bytes_ + kPageBytes - 1) / kPageBytes * kPageBytes;
  }
  ask();
}

void FileRows::forget_pages() {
  if (fdatasync(file_.number()) != 0) fail("the rows of table \"{}\" cannot be written to their file: {}", name_, std::strerror(errno));
  (void)posix_fadvise(file_.number(), 0, 0, POSIX_FADV_DONTNEED);
}

std::uint64_t FileRows::memory_bytes() const {
  return memory_bytes(static_cast<std::int64_t>(slot_of_row_.size()), stride_, static_cast<std::int64_t>(places_.size()));
}

std::uint64_t FileRows::memory_bytes(std::int64_t rows, std::int64_t stride, std::int64_t cached_rows) {
  return static_cast<std::uint64_t>(cached_rows) * (static_cast<std::uint64_t>(stride) * sizeof(float) + sizeof(Place)) +
         static_cast<std::uint64_t>(rows) * sizeof(std::int32_t);
}

}  // namespace rechost
