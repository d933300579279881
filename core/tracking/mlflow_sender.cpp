#include "tracking/mlflow_sender.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <random>
#include <utility>

#include "base/error.h"
#include "base/log.h"

namespace rechost {
namespace {

/// How long records may wait for others that go with them in one request.
constexpr double kGatherSeconds = 1.0;
constexpr double kFirstDelay = 1.0;
constexpr double kLongestDelay = 60.0;
constexpr double kLongestDelayAsked = 600.0;  // what a server may ask for
/// While somebody waits for the end there is no point in patience.
constexpr double kLongestDelayAtEnd = 1.0;

/// Signals are for the main thread, and a connection that breaks must not end the process.
void block_signals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

}  // namespace

MlflowSender::MlflowSender(const std::filesystem::path& run_directory, MlflowServer server, const MlflowSpool& spool)
    : spool_(spool),
      client_(std::move(server.uri), std::move(server.http), &cancel_),
      delivery_(MlflowSpoolFiles(run_directory), run_directory, spool.records(), client_),
      run_directory_(run_directory),
      thread_([this] { run(); }) {}

MlflowSender::~MlflowSender() {
  if (thread_.joinable()) finish(0);
}

void MlflowSender::run() {
  block_signals();
  try {
    std::minstd_rand dice{std::random_device()()};
    double delay = kFirstDelay;
    for (;;) {
      double pause = kGatherSeconds;
      double asked_for = 0.0;
      try {
        if (!deliver_all()) break;
        delay = kFirstDelay;
      } catch (const MlflowUnavailable& failure) {
        if (cancel_) break;
        report_trouble(failure);
        pause = delay * std::uniform_real_distribution(1.0, 1.5)(dice);
        delay = std::min(delay * 2.0, kLongestDelay);
        asked_for = std::min(failure.retry_after_seconds.value_or(0.0), kLongestDelayAsked);
        pause = std::max(pause, asked_for);
      }
      wait(pause, asked_for);
    }
  } catch (const std::exception& error) {
    const auto* refused = dynamic_cast<const MlflowRefused*>(&error);
    const std::string reason = error.what() + (refused != nullptr ? mlflow_advice(*refused) : "");
    log_warning("MLflow gets nothing more of this run: {}. Its records stay in {}; once this is mended: rechost runs sync {}", reason,
                spool_.records().path().string(), run_directory_.string());
    const std::lock_guard lock(mutex_);
    trouble_ = reason;
  }
  const std::lock_guard lock(mutex_);
  ended_ = true;
  changed_.notify_all();
}

/// False: all is sent and nothing more will come, or nobody waits any longer.
bool MlflowSender::deliver_all() {
  for (;;) {
    bool finishing = false;
    {
      const std::lock_guard lock(mutex_);
      finishing = finishing_;
    }
    if (cancel_) return false;
    // Asked in this order: what was written before finish() is seen.
    if (!delivery_.step()) return !finishing;
    if (std::exchange(in_trouble_, false)) {
      log_info("MLflow answers again; {} records are to be sent", delivery_.undelivered());
      const std::lock_guard lock(mutex_);
      trouble_.clear();
    }
    if (!std::exchange(page_shown_, true)) log_info("MLflow: {}", delivery_.page());
  }
}

void MlflowSender::wait(double seconds, double asked_for) {
  const auto begin = std::chrono::steady_clock::now();
  const auto after = [&](double more) {
    return begin + std::chrono::duration_cast<std::chrono::steady_clock::duration>(std::chrono::duration<double>(more));
  };
  std::unique_lock lock(mutex_);
  if (!finishing_) changed_.wait_until(lock, after(seconds), [this] { return finishing_ || cancel_; });
  // Somebody waits for the end now: only a server that asked for it is left in peace for long.
  const double most = std::max(asked_for, std::min(seconds, kLongestDelayAtEnd));
  if (finishing_) changed_.wait_until(lock, after(most), [this] { return cancel_.load(); });
}

void MlflowSender::report_trouble(const MlflowUnavailable& failure) {
  {
    const std::lock_guard lock(mutex_);
    trouble_ = failure.what();
  }
  if (std::exchange(in_trouble_, true)) return;
  log_warning("MLflow does not answer: {}. What is to be sent is kept in {}, and sent when it does", failure.what(), spool_.records().path().string());
}

MlflowSender::Outcome MlflowSender::finish(double seconds) {
  {
    std::unique_lock lock(mutex_);
    finishing_ = true;
    changed_.notify_all();
    const double quiet = std::min(seconds, kGatherSeconds);
    if (!changed_.wait_for(lock, std::chrono::duration<double>(quiet), [this] { return ended_; }) && seconds > quiet) {
      log_info("waiting for MLflow, {:.0f} s at most", seconds - quiet);
      changed_.wait_for(lock, std::chrono::duration<double>(seconds - quiet), [this] { return ended_; });
    }
    cancel_ = true;
    changed_.notify_all();
  }
  thread_.join();
  Outcome outcome;
  outcome.unsent = delivery_.undelivered();
  if (!delivery_.state().run.run_id.empty()) outcome.page = delivery_.page();
  outcome.trouble = trouble_;
  return outcome;
}

}  // namespace rechost
