#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "base/file.h"
#include "comm/messages.h"

namespace rechost {

/// Messages over TCP. `connections`: to the ranks that these are for, by rank (connect_ranks()). An operation that takes longer than
/// `deadline` fails.
std::unique_ptr<Messages> open_socket_messages(std::vector<FileDescriptor> connections, std::chrono::milliseconds deadline);

}  // namespace rechost
