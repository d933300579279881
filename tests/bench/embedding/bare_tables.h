#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/thread_pool.h"
#include "device/host_buffer.h"

namespace rechost::bench {

/// Memory shaped like the engine's tables, for asking how fast its rows can be touched at all.
class BareTables {
 public:
  BareTables(std::size_t tables, std::int64_t rows, std::int64_t stride, ThreadPool& pool) : stride_(stride) {
    for (std::size_t t = 0; t < tables; ++t) buffers_.emplace_back(static_cast<std::size_t>(rows * stride) * sizeof(float), "the bench");
    pool.parallel_for(static_cast<std::int64_t>(tables), [&](std::int64_t t) {
      for (float& value : buffers_[static_cast<std::size_t>(t)].view<float>()) value = 1.0f;
    });
  }

  /// One float of each line of `floats` floats of rows[i] of table table_of(i), read or increased, `kChunk` rows at a time.
  template <bool kWrite, typename TableOf>
  void touch(const std::vector<std::vector<std::int32_t>>& rows, const TableOf& table_of, std::int64_t floats, ThreadPool& pool) {
    constexpr std::int64_t kChunk = 512;
    constexpr std::int64_t kFloatsPerLine = 16;
    std::int64_t chunks = 0;
    for (const auto& list : rows) chunks = std::max(chunks, (static_cast<std::int64_t>(list.size()) + kChunk - 1) / kChunk);
    const std::int64_t ahead = std::clamp<std::int64_t>(48 / ((floats + kFloatsPerLine - 1) / kFloatsPerLine), 3, 24);
    pool.parallel_for(static_cast<std::int64_t>(rows.size()) * chunks, [&](std::int64_t item) {
      const auto i = static_cast<std::size_t>(item / chunks);
      const std::vector<std::int32_t>& list = rows[i];
      const auto size = static_cast<std::int64_t>(list.size());
      float* const table = buffers_[table_of(i)].template view<float>().data();
      float sum = 0.0f;
      for (std::int64_t k = item % chunks * kChunk; k < std::min(size, (item % chunks + 1) * kChunk); ++k) {
        if (k + ahead < size) {
          const float* const next = table + list[static_cast<std::size_t>(k + ahead)] * stride_;
          for (std::int64_t f = 0; f < floats; f += kFloatsPerLine) __builtin_prefetch(next + f, kWrite ? 1 : 0, 3);
        }
        float* const row = table + list[static_cast<std::size_t>(k)] * stride_;
        for (std::int64_t f = 0; f < floats; f += kFloatsPerLine) {
          if constexpr (kWrite) {
            row[f] += 1.0f;
          } else {
            sum += row[f];
          }
        }
      }
      // The compiler must believe that the sum is wanted.
      asm volatile("" : : "x"(sum));
    });
  }

 private:
  std::int64_t stride_;
  std::vector<HostBuffer> buffers_;
};

}  // namespace rechost::bench
