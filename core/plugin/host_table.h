#pragma once

#include <cstdint>
#include <exception>
#include <string>
#include <string_view>

#include "base/error.h"
#include "rechost/abi.h"

namespace rechost {

/// The table given to every plugin: errors, the log and files. Lives as long as the process.
const rh_host* host_table();

/// Borrows `text`.
inline rh_string to_abi(std::string_view text) { return {text.data(), text.size()}; }

/// What the plugin wrote. A size without data is a PluginError "<field> has a size but no data".
std::string_view to_view(rh_string text, std::string_view field);

/// A new error that the receiver owns.
rh_error* new_error(std::int32_t code, std::string_view message);

/// Takes `error`: releases it and throws the kind that its code names, "<label>: <message>". Does nothing for null.
void throw_if(rh_error* error, std::string_view label);

/// Calls into a plugin that must not throw but might: an exception becomes a PluginError that names the function.
template <typename Call>
auto guarded(std::string_view label, std::string_view function, Call&& call) {
  try {
    return call();
  } catch (const std::exception& error) {
    fail<PluginError>("{}: {} threw a C++ exception through the C interface: {}", label, function, error.what());
  } catch (...) {
    fail<PluginError>("{}: {} threw a C++ exception through the C interface", label, function);
  }
}

/// The exception being handled, as an error for the plugin.
rh_error* error_from_exception(std::int32_t code);

}  // namespace rechost
