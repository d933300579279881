#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace rechost {

/// The names in a Slurm host list such as "gpu-a[001-003,007],login" or "rack[1-2]n[08-10]": several brackets are a product, numbers keep
/// their zeros. ConfigError for a text that is none.
std::vector<std::string> expand_slurm_hosts(std::string_view list);

/// Processes on each node from "4,2,1(x2)". ConfigError likewise.
std::vector<int> expand_tasks_per_node(std::string_view list);

}  // namespace rechost
