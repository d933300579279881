#include "plugin/conformance.h"

#include "plugin/check_report.h"

namespace rechost {

std::vector<CheckResult> check_module(const Module& module, const ConfigNode& given) {
  CheckReport report;
  if (module.kind() == ModuleKind::kModel) {
    check_model(module, given, report);
  } else {
    check_dataset(module, given, report);
  }
  return report.take();
}

}  // namespace rechost
