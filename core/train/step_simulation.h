#pragma once

#include <cstdint>

#include "embedding/placement.h"

namespace rechost {

/// What carries messages.
struct Link {
  double message_seconds = 0.0;   ///< for each message, whatever its size
  double bytes_per_second = 0.0;
};

/// Machines that are all alike.
struct Cluster {
  int nodes = 1;
  int ranks_per_node = 1;
  Link within;          ///< of a rank, to ranks of the same node
  Link between;         ///< of a node, to other nodes: its ranks share the bytes; each message costs the rank that sends it
  double speed = 1.0;   ///< of a rank, beside one of this machine

  int ranks() const { return nodes * ranks_per_node; }
};

/// What a rank does in a step beside its tables.
struct StepShape {
  double seconds = 0.0;              ///< of this machine, for its part of the batch
  std::int64_t dense_parameters = 0;
};

/// When a step is done that all ranks began at the same time.
struct SimulatedStep {
  double seconds = 0.0;  ///< of the slowest rank
  double compute = 0.0;  ///< of these, the rank with most to compute; the rest is exchange and waiting for it
  double messages = 0.0;  ///< that would be gone if a message cost nothing but its bytes
  double bytes = 0.0;     ///< that would be gone if bytes took no time
  std::int64_t counted_bytes = 0;  ///< that a rank sends to say how many rows it wants of each table, before any row
};

/// Message by message, in the order in which ranks send them: rows, the two halves of the sum of each bucket of dense gradients, gradients of rows; beside
/// them, on connections of their own, the ids of a coming step with their counts. Buckets go while the backward pass makes the next ones. Each is
/// an all-to-all in which rank r sends to r + 1 first, and which a rank leaves when it has sent and received all of its own. A sender's messages go
/// one after another; a node's to other nodes share its link out, and those to it its link in, the ids first; nothing
/// else of a network is narrow. The placement is of cluster.ranks() ranks.
SimulatedStep simulate_step(const Placement& placement, const Cluster& cluster, const StepShape& shape);

}  // namespace rechost
