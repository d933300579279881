#pragma once

#include <string>
#include <string_view>

namespace rechost {

/// Compresses into the raw format of Snappy (format_description.txt of its source): the length, then literals and copies of what came
/// before, from at most 64 KiB back. Below 4 GiB.
std::string snappy_packed(std::string_view raw);

}  // namespace rechost
