#pragma once

#include <filesystem>
#include <string>

namespace rechost::app {

/// A run as one HTML page that needs nothing else: no script, no font, no file beside it. Works for a run that is going on, that failed or
/// was killed: what there is not yet is left out. Throws Error when `run` is no run directory.
std::string run_report(const std::filesystem::path& run);

}  // namespace rechost::app
