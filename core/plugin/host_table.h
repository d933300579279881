#pragma once

#include <string>
#include <string_view>

#include "rechost/abi.h"

namespace rechost {

/// The table given to every plugin: errors and the log. Lives as long as the process.
const rh_host* host_table();

/// Borrows `text`.
inline rh_string to_abi(std::string_view text) { return {text.data(), text.size()}; }

/// What the plugin wrote, checked: a null pointer with a size is a PluginError naming `field`.
std::string_view to_view(rh_string text, std::string_view field);

/// A new error that the receiver owns.
rh_error* new_error(std::int32_t code, std::string_view message);

/// Takes `error`, does nothing for null, else throws the kind that its code names: "<label>: <message>".
void throw_if(rh_error* error, std::string_view label);

}  // namespace rechost
