#pragma once

#include <exception>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "plugin/conformance.h"

namespace rechost {

/// Collects the results of checks; a check says what it saw or throws what is wrong.
class CheckReport {
 public:
  /// Returns whether it passed: later checks that build on this one make no sense otherwise.
  bool run(std::string check, const std::function<std::string()>& body) {
    CheckResult result{.check = std::move(check), .passed = false, .detail = {}};
    try {
      result.detail = body();
      result.passed = true;
    } catch (const std::exception& error) {
      result.detail = error.what();
    }
    results_.push_back(std::move(result));
    return results_.back().passed;
  }

  std::vector<CheckResult> take() { return std::move(results_); }

 private:
  std::vector<CheckResult> results_;
};

void check_model(const Module& module, const ConfigNode& given, CheckReport& report);
void check_dataset(const Module& module, const ConfigNode& given, CheckReport& report);

}  // namespace rechost
