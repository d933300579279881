#pragma once

#include <span>
#include <string>

namespace rechost::app {

int runs_sync_command(std::span<const std::string> arguments);

}  // namespace rechost::app
