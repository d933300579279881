#pragma once

#include <vector>

#include "base/file.h"
#include "comm/module.h"

namespace rechost {

/// A TCP connection to each of the ranks `to`, by rank; the others' places stay empty. Both ends have proved by `settings.key` that they are of
/// the job. All ranks together, those with an empty `to` as well; two ranks name each other or do not. Nothing listens any more when this
/// returns. CommError when a rank does not come in time.
std::vector<FileDescriptor> connect_ranks(const CommunicatorSettings& settings, const std::vector<int>& to);

}  // namespace rechost
