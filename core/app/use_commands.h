#pragma once

#include <span>
#include <string>

/// Verbs that use a trained model.
namespace rechost::app {

int eval_command(std::span<const std::string> arguments);
int predict_command(std::span<const std::string> arguments);

}  // namespace rechost::app
