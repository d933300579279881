#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "comm/socket.h"

namespace rechost {

/// How a process finds the others of its job.
struct JobSettings {
  int rank = 0;
  int world_size = 1;
  std::vector<Endpoint> meeting;   ///< where rank 0 listens: on the first of these that is free. The others try them in turn
  FileDescriptor listener;         ///< of rank 0, when whoever started it has opened the socket already
  /// What all ranks of the job know and nobody else needs to: a listener with another one is left alone. It is never sent.
  std::string token;
  std::string program;             ///< version of rechost; all ranks must run the same
  std::string host;                ///< this machine's name, for messages
  std::chrono::milliseconds join_within{300'000};  ///< ranks that have not come by then are named in the error
  std::chrono::milliseconds lost_after{6'000};     ///< a rank that is silent for so long is lost, also while others are awaited
  const std::atomic<bool>* stop = nullptr;         ///< set: join() ends with an error
};

/// The processes of one job, as each of them sees the others: who is there, and who has gone. Every rank keeps one connection to rank 0;
/// over it go heartbeats, the reason why a rank fails, and small packets for the start. A thread of its own watches: a rank whose
/// connection ends, or that is silent, is lost, and rank 0 tells the others which it was.
class Job {
 public:
  /// Returns when all ranks have come. CommError: ranks are missing (named) when the time is up, one that had come is lost, or this one is
  /// refused, with the reason.
  static std::unique_ptr<Job> join(JobSettings settings);
  /// Leaves: peers do not count this rank as lost.
  virtual ~Job() = default;
  Job() = default;
  Job(const Job&) = delete;  // its thread refers to it
  Job& operator=(const Job&) = delete;

  /// What each rank has put in, by rank; every rank gets the same. All ranks together, one thread. Waits as long as all ranks live. CommError
  /// when one has failed.
  virtual std::vector<std::string> exchange(std::string_view own) = 0;

  /// Called once, on the watching thread, when another rank has failed or is lost, with "rank 2 on host h7 ...".
  virtual void on_failure(std::function<void(const std::string& what)> call) = 0;
  /// What on_failure() gets, if there is anything; waits for it at most so long.
  virtual std::optional<std::string> failure(std::chrono::milliseconds wait) = 0;

  /// Tells the others why this rank ends. The job is over then.
  virtual void fail(std::string_view why) = 0;

  /// This machine's address as rank 0 sees it: the interface that reaches the others.
  virtual std::string address() const = 0;
};

}  // namespace rechost
