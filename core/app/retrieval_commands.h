#pragma once

#include <span>
#include <string>

/// Verbs that use the vectors of a two-tower model.
namespace rechost::app {

int export_command(std::span<const std::string> arguments);
int recommend_command(std::span<const std::string> arguments);

}  // namespace rechost::app
