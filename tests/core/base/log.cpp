#include "base/log.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

using namespace rechost;

namespace {

using Lines = std::vector<std::string>;

/// Collects what is logged until the end of the scope.
class CollectedLog {
 public:
  CollectedLog() {
    set_log_sink([](void* context, LogLevel, std::string_view line) { static_cast<Lines*>(context)->emplace_back(line); }, &lines);
  }
  ~CollectedLog() {
    set_log_sink(nullptr, nullptr);
    set_log_level(LogLevel::kInfo);
  }
  CollectedLog(const CollectedLog&) = delete;  // the sink points at it
  CollectedLog& operator=(const CollectedLog&) = delete;

  Lines lines;
};

}  // namespace

TEST_CASE("the sink sees lines at and above the level") {
  CollectedLog log;
  log_debug("too {}", "low");
  log_info("step {}", 3);
  set_log_level(LogLevel::kWarning);
  log_info("too low now");
  log_warning("disk {} full", "almost");
  REQUIRE(log.lines == Lines{"step 3", "disk almost full"});
}
