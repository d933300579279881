#include "storage/retry.h"

#include <algorithm>
#include <random>
#include <thread>
#include <utility>

#include "base/log.h"
#include "base/time.h"

namespace rechost {
namespace {

constexpr auto kCancelCheck = std::chrono::milliseconds(50);
constexpr double kSecondsUntilTold = 2.0;

/// In (0.5, 1]. Only times depend on it, so it need not follow from the seed; ranks must differ here.
double shortened() {
  static thread_local std::minstd_rand generator(std::random_device{}());
  return 1.0 - 0.5 * std::uniform_real_distribution<double>(0.0, 1.0)(generator);
}

}  // namespace

Retry::Retry(const RetrySettings& settings, std::string what, const std::atomic<bool>* cancel)
    : settings_(settings),
      what_(std::move(what)),
      cancel_(cancel),
      last_progress_(std::chrono::steady_clock::now()),
      delay_seconds_(settings.first_delay_seconds) {}

void Retry::progress() {
  if (told_) log_info("{}: it goes on after {:.0f} s", what_, seconds_since(last_progress_));
  told_ = false;
  attempts_ = 0;
  delay_seconds_ = settings_.first_delay_seconds;
  last_progress_ = std::chrono::steady_clock::now();
}

void Retry::run(const std::function<void()>& attempt) {
  last_progress_ = std::chrono::steady_clock::now();
  for (;;) {
    try {
      attempt();
      if (told_) progress();
      return;
    } catch (const TransientFailure& failure) {
      wait(failure);
    }
  }
}

void Retry::wait(const TransientFailure& failure) {
  ++attempts_;
  const double passed = seconds_since(last_progress_);
  if (cancel_ != nullptr && cancel_->load()) throw Error(failure.what());
  const double delay = std::max(delay_seconds_ * shortened(), std::min(failure.retry_after_seconds.value_or(0.0), settings_.deadline_seconds));
  if (passed + delay > settings_.deadline_seconds) {
    fail<DataError>("{}: {} (tried {} times in {:.0f} s, then given up: is the server up, and the address right? {})",
                    what_, failure.what(), attempts_, passed, settings_.deadline_advice);
  }
  delay_seconds_ = std::min(2.0 * delay_seconds_, settings_.longest_delay_seconds);
  if (!told_ && passed + delay >= kSecondsUntilTold) {
    log_warning("{}: {}; it will be tried again for {:.0f} s", what_, failure.what(), settings_.deadline_seconds - passed);
    told_ = true;
  }
  const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(delay);
  while (std::chrono::steady_clock::now() < until) {
    if (cancel_ != nullptr && cancel_->load()) throw Error(failure.what());
    std::this_thread::sleep_for(std::min<std::chrono::duration<double>>(kCancelCheck, until - std::chrono::steady_clock::now()));
  }
}

}  // namespace rechost
