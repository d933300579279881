#pragma once

#include "base/error.h"
#include "comm/communicator.h"
#include "data/order.h"

namespace rechost {

/// How each global batch is cut, and which slices this rank works on. Sums over a batch are sums over its slices, in their order: with one
/// slice for each rank the last bits of a result depend on the number of ranks; with a fixed number of slices they do not.
struct SlicePlan {
  int slices = 1;
  int first = 0;  ///< of this rank
  int count = 1;  ///< of this rank, >= 1
  int most = 1;   ///< of any rank
};

/// Slices of a batch with run.deterministic, and so the most ranks that it can use.
inline constexpr int kDeterministicSlices = 16;

/// ConfigError for more ranks than there are slices.
inline void require_slices(bool deterministic, int ranks) {
  if (deterministic && ranks > kDeterministicSlices) {
    fail<ConfigError>("run.deterministic = true cuts each batch into {} slices and so can use at most {} ranks; there are {}: start fewer, or "
                      "leave it out",
                      kDeterministicSlices, kDeterministicSlices, ranks);
  }
}

inline SlicePlan plan_slices(bool deterministic, const Communicator& communicator) {
  const int ranks = communicator.world_size();
  require_slices(deterministic, ranks);
  if (!deterministic) return {ranks, communicator.rank(), 1, 1};
  const PositionRange own = share_of(kDeterministicSlices, {communicator.rank(), ranks});
  return {kDeterministicSlices, static_cast<int>(own.begin), static_cast<int>(own.end - own.begin),
          (kDeterministicSlices + ranks - 1) / ranks};
}

}  // namespace rechost
