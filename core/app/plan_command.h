#pragma once

#include <span>
#include <string>

namespace rechost::app {

int plan_command(std::span<const std::string> arguments);

}  // namespace rechost::app
