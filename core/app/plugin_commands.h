#pragma once

#include <span>
#include <string>

namespace rechost::app {

int plugins_list_command(std::span<const std::string> arguments);
int plugins_inspect_command(std::span<const std::string> arguments);
int plugins_check_command(std::span<const std::string> arguments);
int plugins_new_command(std::span<const std::string> arguments);

}  // namespace rechost::app
