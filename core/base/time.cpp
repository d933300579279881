#include "base/time.h"

#include <cstdint>
#include <cstdio>
#include <ctime>

#include <fmt/format.h>

#include "base/error.h"

namespace rechost {
namespace {

struct UtcTime {
  std::tm parts{};
  int milliseconds = 0;
};

UtcTime utc(WallTime time) {
  const auto since_epoch = std::chrono::floor<std::chrono::milliseconds>(time).time_since_epoch();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since_epoch);
  UtcTime result;
  const auto unix_time = static_cast<std::time_t>(seconds.count());
  gmtime_r(&unix_time, &result.parts);
  result.milliseconds = static_cast<int>((since_epoch - seconds).count());
  return result;
}

}  // namespace

std::string utc_text(WallTime time) {
  const UtcTime t = utc(time);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", t.parts.tm_year + 1900, t.parts.tm_mon + 1, t.parts.tm_mday,
                     t.parts.tm_hour, t.parts.tm_min, t.parts.tm_sec, t.milliseconds);
}

WallTime parse_utc(std::string_view text) {
  const std::string copy(text);
  std::tm parts{};
  int milliseconds = 0;
  int length = 0;
  const int fields = std::sscanf(copy.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ%n", &parts.tm_year, &parts.tm_mon, &parts.tm_mday, &parts.tm_hour,
                                 &parts.tm_min, &parts.tm_sec, &milliseconds, &length);
  if (fields != 7 || length != static_cast<int>(copy.size())) fail("\"{}\" is no time such as 2026-01-01T12:00:00.000Z", text);
  parts.tm_year -= 1900;
  parts.tm_mon -= 1;
  return std::chrono::system_clock::from_time_t(timegm(&parts)) + std::chrono::milliseconds(milliseconds);
}

std::string utc_compact(WallTime time) {
  const UtcTime t = utc(time);
  return fmt::format("{:04}{:02}{:02}-{:02}{:02}{:02}", t.parts.tm_year + 1900, t.parts.tm_mon + 1, t.parts.tm_mday, t.parts.tm_hour,
                     t.parts.tm_min, t.parts.tm_sec);
}

double unix_seconds(WallTime time) { return std::chrono::duration<double>(time.time_since_epoch()).count(); }

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace rechost
