#pragma once

#include <memory>
#include <vector>

#include "comm/messages.h"
#include "comm/module.h"

namespace rechost {

/// The way to the ranks on this machine.
struct SharedMemory {
  std::vector<int> ranks;              ///< the others that it reaches
  std::unique_ptr<Messages> messages;  ///< null: none, for there are no others here, they cannot share memory, or it is not wanted
};

/// Finds the ranks on this machine (same host name, boot, user and process numbers) and shares a piece of anonymous memory with them: a ring of
/// bytes for each pair and direction. It has no name in a file system, so nothing can be left behind. All ranks together.
SharedMemory open_shared_memory(const CommunicatorSettings& settings);

}  // namespace rechost
