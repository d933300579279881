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

std::atomic<int> counted_signal{0};
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler may touch nothing else");

void count_signal(int number) { counted_signal = (counted_signal & ~0xff) + 0x100 + number; }

void handle_stop_signals(void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  for (const int number : {SIGTERM, SIGINT, SIGUSR1}) sigaction(number, &action, nullptr);
}

}  // namespace

const std::atomic<int>& count_stop_signals() {
  handle_stop_signals(count_signal);
  return counted_signal;
}

const std::atomic<bool>& catch_stop_signals() {
  handle_stop_signals(on_signal);
  return stop_requested;
}

}  // namespace rechost::app
