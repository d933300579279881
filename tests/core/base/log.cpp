#include "base/log.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>
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

/// What `action` writes on standard error.
template <typename Action>
std::string written_by(Action&& action) {
  std::FILE* const file = std::tmpfile();
  std::fflush(stderr);
  const int before = ::dup(STDERR_FILENO);
  ::dup2(::fileno(file), STDERR_FILENO);
  action();
  std::fflush(stderr);
  ::dup2(before, STDERR_FILENO);
  ::close(before);
  std::string text(static_cast<std::size_t>(::lseek(::fileno(file), 0, SEEK_END)), '\0');
  const ssize_t count = ::pread(::fileno(file), text.data(), text.size(), 0);
  std::fclose(file);
  REQUIRE(count == static_cast<ssize_t>(text.size()));
  return text;
}

}  // namespace

TEST_CASE("a line of the log begins below a live line") {
  const std::string text = written_by([] {
    write_live_line("step 1");
    write_live_line("step 2");
    log_info("a server answers");
    log_warning("again");
    write_live_line("step 3");
    log_info("done");
  });
  REQUIRE(text == "\rstep 1\x1b[K\rstep 2\x1b[K\na server answers\nwarning: again\n\rstep 3\x1b[K\ndone\n");
}

TEST_CASE("the sink sees lines at and above the level") {
  CollectedLog log;
  log_debug("too {}", "low");
  log_info("step {}", 3);
  set_log_level(LogLevel::kWarning);
  log_info("too low now");
  log_warning("disk {} full", "almost");
  REQUIRE(log.lines == Lines{"step 3", "disk almost full"});
}
