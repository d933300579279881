#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace rechost {

using WallTime = std::chrono::system_clock::time_point;

/// "2026-11-24T10:20:30.123Z": what files written by rechost contain. Sorts as text in order of time.
std::string utc_text(WallTime time);

/// The time that utc_text() wrote. Throws Error for any other text.
WallTime parse_utc(std::string_view text);

/// "20261124-102030": for names of files and directories.
std::string utc_compact(WallTime time);

/// Seconds since 1970, with the fraction.
double unix_seconds(WallTime time);

/// Of the clock that never jumps: for measuring.
double seconds_since(std::chrono::steady_clock::time_point begin);

}  // namespace rechost
