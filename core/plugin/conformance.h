#pragma once

#include <string>
#include <vector>

#include "config/node.h"
#include "plugin/library.h"

namespace rechost {

/// One thing that was looked at.
struct CheckResult {
  std::string check;  ///< "backward agrees with finite differences"
  bool passed = false;
  std::string detail;  ///< what was wrong; when passed: what was seen, or empty
};

/// Puts a module through its paces, as `rechost plugins check` does for a plugin's author: it is used as a run would use it, on data of the
/// host's own, and what it returns is held against the contract. `given` are options as in [model] or [data]. Runs in this process: a
/// plugin that crashes takes it along.
std::vector<CheckResult> check_module(const Module& module, const ConfigNode& given);

}  // namespace rechost
