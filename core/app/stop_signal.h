#pragma once

#include <atomic>

namespace rechost::app {

/// From now on SIGTERM, SIGINT and SIGUSR1 ask for a stop: the step is finished, a checkpoint written, exit code 75. A second signal of
/// any of these ends the process at once (128 + number), with nothing written. The flag lives as long as the process.
const std::atomic<bool>& catch_stop_signals();

}  // namespace rechost::app
