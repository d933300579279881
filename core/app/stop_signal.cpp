#include "app/stop_signal.h"

#include <csignal>
#include <unistd.h>

namespace rechost::app {
namespace {

std::atomic<bool> stop_requested{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may touch nothing else");

void on_signal(int number) {
  if (stop_requested.exchange(true)) _exit(128 + number);
  constexpr char kText[] = "stopping after this step; a checkpoint will be written (again to stop at once)\n";
  [[maybe_unused]] const auto written = write(STDERR_FILENO, kText, sizeof(kText) - 1);
}

}  // namespace

const std::atomic<bool>& catch_stop_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  for (const int number : {SIGTERM, SIGINT, SIGUSR1}) sigaction(number, &action, nullptr);
  return stop_requested;
}

}  // namespace rechost::app
