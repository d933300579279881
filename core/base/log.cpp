#include "base/log.h"

#include <atomic>
#include <cstdio>
#include <mutex>
#include <string>
#include <utility>

namespace rechost {
namespace {

std::mutex sink_mutex;
LogSink current_sink = nullptr;
void* sink_context = nullptr;
std::atomic<LogLevel> lowest_level{LogLevel::kInfo};
bool live_line_open = false;  // under sink_mutex, as standard error is
LogLevel console_level = LogLevel::kDebug;
std::string console_prefix;

std::string_view level_prefix(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug: ";
    case LogLevel::kWarning:
      return "warning: ";
    case LogLevel::kError:
      return "error: ";
    case LogLevel::kInfo:
      break;
  }
  return "";
}

}  // namespace

void set_log_sink(LogSink sink, void* context) {
  const std::lock_guard lock(sink_mutex);
  current_sink = sink;
  sink_context = context;
}

void set_console(LogLevel level, std::string prefix) {
  const std::lock_guard lock(sink_mutex);
  console_level = level;
  console_prefix = std::move(prefix);
}

void set_log_level(LogLevel level) { lowest_level = level; }

void write_log(LogLevel level, std::string_view line) {
  if (level < lowest_level.load(std::memory_order_relaxed)) return;
  // One write per line, so that lines of several threads and processes do not interleave.
  const std::lock_guard lock(sink_mutex);
  if (level >= console_level) {
    const std::string text = fmt::format("{}{}{}\n", console_prefix, level_prefix(level), line);
    if (std::exchange(live_line_open, false)) std::fputs("\n", stderr);
    std::fwrite(text.data(), 1, text.size(), stderr);
  }
  if (current_sink != nullptr) current_sink(sink_context, level, line);
}

void write_live_line(std::string_view line) {
  // Back to the first column, and clear what a longer line has left.
  const std::string text = fmt::format("\r{}\x1b[K", line);
  const std::lock_guard lock(sink_mutex);
  std::fwrite(text.data(), 1, text.size(), stderr);
  live_line_open = true;
}

}  // namespace rechost
