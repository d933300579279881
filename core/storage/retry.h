#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "base/error.h"

namespace rechost {

/// Something that may go better the next time: no connection, a lost one, a server that is busy or starting.
class TransientFailure : public Error {
 public:
  explicit TransientFailure(const std::string& what, std::optional<double> after = {}) : Error(what), retry_after_seconds(after) {}
  std::optional<double> retry_after_seconds;  ///< what the server asks for
};

struct RetrySettings {
  double deadline_seconds = 300.0;     ///< without any progress
  std::string deadline_advice = "data.remote_deadline_seconds is how long";  ///< where that comes from, for the message
  double first_delay_seconds = 0.2;    ///< before the second attempt, doubled for each further one ...
  double longest_delay_seconds = 10.0; ///< ... up to this; each is shortened at random by up to half, so that many clients do not come at once
};

/// One piece of work that is tried until it succeeds or has made no progress for the deadline. One thread.
class Retry {
 public:
  /// `what` begins messages: "s3://bucket/key". `cancel`, where it is not null, ends a wait.
  Retry(const RetrySettings& settings, std::string what, const std::atomic<bool>* cancel);

  /// Bytes came: the deadline begins anew, and the delays too.
  void progress();

  /// Calls `attempt` until it returns. TransientFailure is waited for and tried again; past the deadline it is a DataError that says how
  /// often and how long it was tried. Everything else passes at once.
  void run(const std::function<void()>& attempt);

 private:
  void wait(const TransientFailure& failure);

  RetrySettings settings_;
  std::string what_;
  const std::atomic<bool>* cancel_;
  std::chrono::steady_clock::time_point last_progress_;
  double delay_seconds_;
  int attempts_ = 0;  ///< since the last progress
  bool told_ = false;
};

}  // namespace rechost
