#pragma once

#include <span>
#include <string>

/// The registry of trained models.
namespace rechost::app {

int models_list_command(std::span<const std::string> arguments);
int models_show_command(std::span<const std::string> arguments);
int models_register_command(std::span<const std::string> arguments);
int models_alias_command(std::span<const std::string> arguments);
int models_promote_command(std::span<const std::string> arguments);
int models_rollback_command(std::span<const std::string> arguments);
int models_remove_command(std::span<const std::string> arguments);
int models_verify_command(std::span<const std::string> arguments);

}  // namespace rechost::app
