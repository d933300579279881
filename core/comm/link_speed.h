#pragma once

#include <span>

#include "comm/communicator.h"

namespace rechost {

/// How many bytes of its own a rank sends and receives in a second while all ranks do, copies on the way included. 0: there are no such ranks.
struct LinkSpeed {
  double within = 0.0;   ///< with ranks of its node
  double between = 0.0;  ///< with ranks of other nodes
};

/// Measured with messages as large as those of a step with large tables; the mean over ranks of each one's fastest of some rounds, so every rank gets the
/// same. `node_of`: by rank, the same on all. All ranks together; takes some milliseconds where links are fast.
LinkSpeed measure_links(Communicator& communicator, std::span<const int> node_of);

}  // namespace rechost
