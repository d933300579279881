#pragma once

#include <span>
#include <string>

/// Verbs that look at or make data, without a model.
namespace rechost::app {

int data_synth_command(std::span<const std::string> arguments);
int data_inspect_command(std::span<const std::string> arguments);
int data_verify_command(std::span<const std::string> arguments);
int data_stats_command(std::span<const std::string> arguments);
int data_order_command(std::span<const std::string> arguments);
int data_convert_command(std::span<const std::string> arguments);

}  // namespace rechost::app
