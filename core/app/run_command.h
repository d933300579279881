#pragma once

#include <span>
#include <string>

namespace rechost::app {

int run_command(std::span<const std::string> arguments);

}  // namespace rechost::app
