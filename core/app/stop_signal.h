#pragma once

#include <atomic>

namespace rechost::app {

/// From now on SIGTERM, SIGINT and SIGUSR1 ask for a stop: the step is finished, a checkpoint written, exit code 75. A second signal of
/// any of these ends the process at once (128 + number), with nothing written. The flag lives as long as the process.
const std::atomic<bool>& catch_stop_signals();

/// For a process that only starts others: their number, plus 256 for each time that one has come, so that every signal changes it; 0: none.
const std::atomic<int>& count_stop_signals();

}  // namespace rechost::app
