#pragma once

#include <cstdint>
#include <string>

namespace rechost {

/// The name of this machine; "?" when it has none.
std::string host_name();

/// The model of this machine's processor; "unknown processor" where the kernel does not tell.
std::string processor_name();

/// How many cores this process may use (affinity and cgroup quota respected), at least 1.
int usable_cores();

/// How much memory this process may use: the machine's, or what its cgroup is allowed.
std::uint64_t usable_memory_bytes();

}  // namespace rechost
