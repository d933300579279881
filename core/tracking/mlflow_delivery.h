#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <map>
#include <set>
#include <string>

#include "tracking/mlflow_client.h"
#include "tracking/mlflow_spool.h"
#include "tracking/spool.h"

namespace rechost {

/// Where a spool stands with its server, kept beside it.
struct MlflowState {
  std::string uri;  ///< of the server that knows the run
  MlflowRun run;    ///< run_id empty: not created yet
  std::int64_t delivered = 0;  ///< records up to this one are on the server

  static MlflowState load(const std::filesystem::path& path);
  void save(const std::filesystem::path& path) const;
};

/// Carries the records of a spool to an MLflow server, in order, each once. One thread.
///
/// Exactly once: params, tags, status and artifacts may be sent again without harm. A metric that is sent twice is there twice in some of
/// MLflow's stores, so after any request whose outcome is not known (an answer that did not come, a process that died) the history of the
/// metrics in question is read first, and what the server has is not sent again. A run is created under a key of its own in the tag
/// "rechost.run_key", and looked for by that key before it is created.
class MlflowDelivery {
 public:
  /// Takes up where `files.state` says. `files.lock` must be held by the caller.
  MlflowDelivery(MlflowSpoolFiles files, std::filesystem::path run_directory, const Spool& spool, MlflowClient& client);

  /// Sends some records that were appended before the call: one request, or what must come before it. False: there were none left.
  /// Throws MlflowUnavailable and MlflowRefused; the next call goes on with the same records.
  bool step();

  const MlflowState& state() const { return state_; }
  std::int64_t undelivered() const { return spool_.last() - state_.delivered; }

  /// The page of the run in MLflow's user interface.
  std::string page() const;

 private:
  const SpoolRecord* pending(std::size_t index);
  void begin_run(const Json& start);
  std::size_t send_batch();
  void send_artifact(const Json& fields);
  void send_status(const Json& fields);
  bool has(const MlflowMetric& metric);
  void delivered(std::size_t records);

  MlflowSpoolFiles files_;
  std::filesystem::path run_directory_;
  const Spool& spool_;
  MlflowClient& client_;
  SpoolReader reader_;
  MlflowState state_;
  std::deque<SpoolRecord> pending_;  ///< read, not delivered
  std::int64_t in_doubt_ = 0;        ///< up to this record the server may have more than `delivered`
  std::map<std::string, std::set<MlflowMetric>> known_;  ///< by key: what the server has; read since the last doubtful outcome
  bool artifacts_refused_ = false;
};

}  // namespace rechost
