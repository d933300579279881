#pragma once

#include <string>
#include <string_view>

#include <fmt/format.h>

namespace rechost {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

/// Where log lines go besides standard error. Set once at start; called under a lock, from any thread.
using LogSink = void (*)(void* context, LogLevel level, std::string_view line);
void set_log_sink(LogSink sink, void* context);

/// Lines under this level are dropped. Default: kInfo.
void set_log_level(LogLevel level);

/// Of those, lines under this level go to the sink only. Default: all go to standard error. `prefix` begins each line there.
void set_console(LogLevel level, std::string prefix);

/// Writes one line to standard error ("warning: …" for warnings, "error: …" for errors, bare for info) and to the sink. Any thread.
void write_log(LogLevel level, std::string_view line);

/// Shows a line at the bottom of the terminal in place of the one before. A line of the log, from whichever thread, begins below it. Any
/// thread; the sink does not see it.
void write_live_line(std::string_view line);

template <typename... Arguments>
void log_info(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  write_log(LogLevel::kInfo, fmt::format(format, std::forward<Arguments>(arguments)...));
}

template <typename... Arguments>
void log_warning(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  write_log(LogLevel::kWarning, fmt::format(format, std::forward<Arguments>(arguments)...));
}

template <typename... Arguments>
void log_debug(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  write_log(LogLevel::kDebug, fmt::format(format, std::forward<Arguments>(arguments)...));
}

}  // namespace rechost
