#pragma once

#include <cstdint>
#include <mutex>
#include <vector>

#include "data/source.h"

namespace rechost {

/// Tells a source whose chunks are read one after the other, by any number of threads, which come next.
class SequentialReadAhead {
 public:
  /// Chunks [0, chunks) will be read. `source` outlives this object.
  SequentialReadAhead(ChunkSource& source, std::int64_t chunks) : source_(source), chunks_(chunks) {}
  /// Nothing comes any more.
  ~SequentialReadAhead();
  SequentialReadAhead(const SequentialReadAhead&) = delete;  // takes back at its end what it has told
  SequentialReadAhead& operator=(const SequentialReadAhead&) = delete;

  /// The calling thread is about to read this chunk. Any thread; does not wait.
  void begin(std::int64_t chunk);

 private:
  ChunkSource& source_;
  const std::int64_t chunks_;
  std::mutex mutex_;
  std::int64_t next_ = 0;  ///< chunks before this one have been begun
  std::vector<std::int64_t> coming_;
};

}  // namespace rechost
