#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/temporary_file.h"
#include "base/thread_pool.h"
#include "device/host_buffer.h"

namespace rechost {

/// Rows that lie in a file on a local disk, with a cache in memory of those that batches use: for tables beyond memory. Loops over the rows of a batch
/// run on the cache alone, after find() and load(); the results are those of rows in memory, bit for bit. The file is read and written, not
/// mapped: its pages would be counted as this process's memory, and an error of the disk would be a signal.
///
/// A full cache gives up rows that no batch has used since the clock's hand last came by (CLOCK, second chance); rows that came once and never again
/// go first. What has changed is written to the file then. The file has no name and goes with the process.
///
/// One thread at a time, but for expect().
class FileRows {
 public:
  /// Takes the room for `rows` rows of `stride` floats in `directory`, zeros. `name`, of the table, is for messages. Throws Error when the directory
  /// cannot be used or its disk has not as much room; all others when the disk fails.
  FileRows(const std::filesystem::path& directory, std::string_view name, std::int64_t rows, std::int64_t stride, std::int64_t cached_rows);

  /// Copies rows [first, first + count), [count, stride], as they are now, whether cached or not. Several threads at once.
  void read(std::int64_t first, std::int64_t count, float* rows) const;
  /// The other way. Several threads at once for rows of their own.
  void write(std::int64_t first, std::int64_t count, const float* rows);

  /// Gives each of `rows`, which are distinct, a place in the cache, now or before: slots[i], counted from cached(), good until the next find(). The
  /// cache grows where it has fewer places than one batch has rows. New ones hold their rows after load().
  void find(std::span<const std::int32_t> rows, std::int32_t* slots);
  void load(ThreadPool& pool);
  /// The rows of the last find() have changed.
  void mark_changed(std::span<const std::int32_t> slots);
  float* cached() { return cache_.view<float>().data(); }

  /// Has the system read those of `rows` (ascending) that are not in the cache, so that load() need not wait for the disk. Returns at once; any
  /// thread, beside the others.
  void expect(std::span<const std::int32_t> rows) const;

  /// Forgets what the system keeps of the file in memory, for measuring. Changes are on the disk then.
  void forget_pages();

  std::uint64_t memory_bytes() const;
  std::uint64_t hits() const { return hits_; }      ///< rows of find() that were in the cache
  std::uint64_t misses() const { return misses_; }

  /// What `cached_rows` of a table of `rows` rows take in memory, with the numbers of their places.
  static std::uint64_t memory_bytes(std::int64_t rows, std::int64_t stride, std::int64_t cached_rows);

 private:
  struct Load {
    std::int32_t slot = 0;
    std::int32_t row = 0;
    std::int32_t former = 0;  ///< that is written to the file first; kNone: nothing is
  };
  /// Of a place in the cache.
  struct Place {
    std::int32_t row = kNone;
    std::uint32_t batch = 0;  ///< that used it last
    bool used_again = false;  ///< since the hand came by
    bool changed = false;
  };
  static constexpr std::int32_t kNone = -1;

  std::int32_t take_place();
  void grow(std::int64_t places);

  std::string name_;
  std::int64_t stride_;
  std::uint64_t row_bytes_;
  TemporaryFile file_;
  HostBuffer cache_;
  std::vector<std::int32_t> slot_of_row_;  ///< kNone: in the file alone. Read by expect() too, so elements are accessed as atomics
  std::vector<Place> places_;
  std::size_t free_places_ = 0;  ///< places from here on were never used
  std::size_t hand_ = 0;
  std::uint32_t batch_ = 0;
  std::vector<std::size_t> missing_;
  std::vector<Load> loads_;
  std::uint64_t hits_ = 0;
  std::uint64_t misses_ = 0;
};

}  // namespace rechost
