#pragma once

#include <string>
#include <vector>

#include "config/node.h"
#include "plugin/library.h"

namespace rechost {

/// One statement about a module that was tried.
struct CheckResult {
  std::string check;   ///< "declares", "forward gives finite outputs", ...
  bool passed = false;
  std::string detail;  ///< what was seen, when it did not pass or is worth knowing
};

/// Loads nothing new: tries a module through its interface, as training would use it. A model is declared, bound and run on random inputs,
/// its gradients compared with finite differences; a dataset is opened and every chunk read, twice, from several threads and with fewer
/// columns. `given`: its options, as in [model] or [data]. Never throws for what the module does wrong: that is a result.
std::vector<CheckResult> check_module(const Module& module, const ConfigNode& given);

}  // namespace rechost
