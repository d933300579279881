#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/error.h"

/// Checks that every communicator makes of its arguments, so that a mistake is an error here and not a hang at a peer.
namespace rechost {

inline void require_sizes(const char* operation, std::span<const std::int64_t> bytes, int world_size, std::size_t buffer) {
  if (bytes.size() != static_cast<std::size_t>(world_size)) {
    fail<CommError>("{}: {} sizes for {} ranks", operation, bytes.size(), world_size);
  }
  std::int64_t total = 0;
  for (const std::int64_t size : bytes) {
    if (size < 0) fail<CommError>("{}: a size of {} bytes", operation, size);
    total += size;
  }
  if (static_cast<std::size_t>(total) != buffer) {
    fail<CommError>("{}: the sizes add up to {} bytes, the buffer has {}", operation, total, buffer);
  }
}

inline void require_same(const char* operation, std::size_t sent, std::size_t received) {
  if (sent != received) fail<CommError>("{}: {} bytes sent to a place for {}", operation, sent, received);
}

inline void require_rank(const char* operation, int rank, int world_size) {
  if (rank < 0 || rank >= world_size) fail<CommError>("{}: rank {} of {} ranks", operation, rank, world_size);
}

}  // namespace rechost
