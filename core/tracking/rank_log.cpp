#include "tracking/rank_log.h"

#include <cerrno>
#include <chrono>
#include <string>
#include <system_error>

#include <fcntl.h>
#include <unistd.h>

#include "base/error.h"
#include "base/time.h"

namespace rechost {
namespace {

std::string_view level_name(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
    case LogLevel::kInfo:
      break;
  }
  return "info";
}

}  // namespace

RankLog::RankLog(const std::filesystem::path& run_directory, int rank) {
  const std::filesystem::path path = run_directory / "logs" / fmt::format("rank-{:05}.log", rank);
  std::error_code reason;
  std::filesystem::create_directories(path.parent_path(), reason);
  file_ = FileDescriptor(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
  if (!file_) fail("cannot open {}: {}", path.string(), std::generic_category().message(errno));
  set_log_sink(&RankLog::write, this);
}

RankLog::~RankLog() { set_log_sink(nullptr, nullptr); }

void RankLog::write(void* context, LogLevel level, std::string_view line) {
  const std::string text = fmt::format("{} {} {}\n", utc_text(std::chrono::system_clock::now()), level_name(level), line);
  // A full disk must not stop what is being logged; standard error has the line anyway.
  const ssize_t ignored = ::write(static_cast<RankLog*>(context)->file_.number(), text.data(), text.size());
  static_cast<void>(ignored);
}

}  // namespace rechost
