#pragma once

#include <span>
#include <string_view>

namespace rechost {

/// A variable by which a launcher tells a process who it is.
struct LaunchVariable {
  std::string_view name;
  std::string_view launcher;  ///< one of launcher_names(); empty: read under any of them
  std::string_view meaning;
  bool secret = false;        ///< its value is not to be shown
};

/// All that find_identity() reads, by launcher in the order in which it looks for them.
std::span<const LaunchVariable> launch_variables();

}  // namespace rechost
