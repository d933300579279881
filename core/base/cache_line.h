#pragma once

#include <cstddef>
#include <cstdint>

namespace rechost {

/// What processors load and store at a time.
inline constexpr std::size_t kCacheLineBytes = 64;
inline constexpr std::int64_t kFloatsPerLine = kCacheLineBytes / sizeof(float);

}  // namespace rechost
