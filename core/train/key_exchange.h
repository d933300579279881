#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "comm/communicator.h"

namespace rechost {

/// The distinct keys of a batch, or of a part of it, in ascending order, and how often each is there.
struct KeyCounts {
  std::vector<std::int64_t> keys;
  std::vector<std::int64_t> counts;

  void clear() {
    keys.clear();
    counts.clear();
  }
  std::uint64_t memory_bytes() const { return (keys.size() + counts.size()) * sizeof(std::int64_t); }
};

/// Tells all ranks what keys the whole of a batch has, ahead of its step: each then gives rows to them as the others do, and as one rank alone would.
/// 16 bytes for each distinct key of a rank's part and table go to every other rank. Batches come in order of steps, from one thread at a time, and all
/// ranks have the same ones; abort() comes from any thread.
class KeyExchange {
 public:
  /// `ranks`: not the one of the steps, for whoever prepares batches exchanges them beside those; used by nobody else meanwhile; outlives it.
  explicit KeyExchange(Communicator& ranks) : ranks_(ranks) {}

  /// Of the next batch: `parts` is what this rank's part has, by table, `wholes` what that of all ranks has. CommError when a rank is gone, and for a
  /// batch behind one that did not come.
  void add_up(std::int64_t step, std::span<const KeyCounts* const> parts, std::span<KeyCounts> wholes);

  /// Ends waiting for ranks that prepare no more batches; nothing is exchanged from here on.
  void abort() { ranks_.abort(); }

 private:
  Communicator& ranks_;
  std::int64_t last_step_ = 0;  ///< 0: none
  std::vector<std::int64_t> packet_;
};

}  // namespace rechost
