#pragma once

#include <string_view>

namespace rechost {

/// "0.1.0": the program's version, from the top-level CMake project.
std::string_view version();

}  // namespace rechost
