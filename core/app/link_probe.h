#pragma once

#include "comm/link_speed.h"

namespace rechost::app {

/// What measure_links() would find for so many ranks on this machine: threads of this process stand for them, with memory between them as ranks have it.
/// CommError.
LinkSpeed probe_links(int ranks);

}  // namespace rechost::app
