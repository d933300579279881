#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/error.h"

/// Checks that every communicator makes of its arguments, so that a mistake is an error here and not a hang at a peer.
namespace rechost {

inline void require_sizes(const char* operation, std::span<const std::int64_t> sizes, int world_size, std::size_t buffer,
                          const char* unit = "bytes") {
  if (sizes.size() != static_cast<std::size_t>(world_size)) {
    fail<CommError>("{}: {} sizes for {} ranks", operation, sizes.size(), world_size);
  }
  std::int64_t total = 0;
  for (const std::int64_t size : sizes) {
    if (size < 0) fail<CommError>("{}: a size of {} {}", operation, size, unit);
    total += size;
  }
  if (static_cast<std::size_t>(total) != buffer) {
    fail<CommError>("{}: the sizes add up to {} {}, the buffer has {}", operation, total, unit, buffer);
  }
}

inline void require_same(const char* operation, std::size_t sent, std::size_t received, const char* unit = "bytes") {
  if (sent != received) fail<CommError>("{}: {} {} sent to a place for {}", operation, sent, unit, received);
}

/// Of a reduce_scatter_sum().
inline void require_parts(std::span<const float> values, std::span<const std::int64_t> sizes, int world_size, int rank, std::size_t own) {
  constexpr const char* kOperation = "reduce_scatter_sum";
  require_sizes(kOperation, sizes, world_size, values.size(), "numbers");
  require_same(kOperation, static_cast<std::size_t>(sizes[static_cast<std::size_t>(rank)]), own, "numbers");
}

inline void require_rank(const char* operation, int rank, int world_size) {
  if (rank < 0 || rank >= world_size) fail<CommError>("{}: rank {} of {} ranks", operation, rank, world_size);
}

}  // namespace rechost
