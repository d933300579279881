#pragma once

#include <span>
#include <string>

/// Verbs that only look: configuration, runs, checkpoints.
namespace rechost::app {

int config_show_command(std::span<const std::string> arguments);
int config_schema_command(std::span<const std::string> arguments);
int runs_list_command(std::span<const std::string> arguments);
int runs_show_command(std::span<const std::string> arguments);
int checkpoint_show_command(std::span<const std::string> arguments);
int checkpoint_verify_command(std::span<const std::string> arguments);

}  // namespace rechost::app
