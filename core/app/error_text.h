#pragma once

#include <exception>
#include <string>

namespace rechost::app {

/// What an error says to the user: its own words, but for those of the language's library that say nothing of what to do.
std::string error_text(const std::exception& error);

}  // namespace rechost::app
