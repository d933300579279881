#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>

#include "storage/http_client.h"
#include "tracking/mlflow_client.h"
#include "tracking/mlflow_delivery.h"
#include "tracking/mlflow_spool.h"

namespace rechost {

struct MlflowServer {
  std::string uri;
  HttpSettings http;
};

/// Sends a spool to its server from a thread of its own, for as long as it lives: whoever writes the spool never waits. While the server does
/// not answer it is asked again after 1 s, 2 s, 4 s and so on up to a minute, each with up to half more by chance, or when it says. A
/// refusal is reported once and ends the sending. All that is not sent stays in the spool.
class MlflowSender {
 public:
  /// `spool` must outlive it, and be locked (lock_mlflow_spool). Throws Error when its state cannot be read.
  MlflowSender(const std::filesystem::path& run_directory, MlflowServer server, const MlflowSpool& spool);

  /// Leaves unsent what is.
  ~MlflowSender();
  MlflowSender(const MlflowSender&) = delete;  // a thread refers to it

  struct Outcome {
    std::int64_t unsent = 0;  ///< records
    std::string page;         ///< of the run in MLflow; empty: it has not been created yet
    std::string trouble;      ///< why records are unsent
  };
  /// Waits until all is sent, but no longer than `seconds`, then ends the sending. Once.
  Outcome finish(double seconds);

 private:
  void run();
  bool deliver_all();
  void wait(double seconds, double asked_for);
  void report_trouble(const MlflowUnavailable& failure);

  std::atomic<bool> cancel_{false};
  const MlflowSpool& spool_;
  MlflowClient client_;
  MlflowDelivery delivery_;
  std::filesystem::path run_directory_;

  std::mutex mutex_;
  std::condition_variable changed_;
  bool finishing_ = false;
  bool ended_ = false;
  std::string trouble_;  ///< last failure; empty when all is well
  bool in_trouble_ = false;
  bool page_shown_ = false;
  std::thread thread_;
};

}  // namespace rechost
