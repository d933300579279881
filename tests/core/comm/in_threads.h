#pragma once

#include <chrono>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "comm/job.h"
#include "comm/module.h"

namespace rechost::test {

/// Runs `body(rank)` in a thread for each rank; rethrows the first error.
inline void in_threads(int ranks, const std::function<void(int rank)>& body) {
  std::vector<std::thread> threads;
  std::mutex mutex;
  std::exception_ptr failure;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        body(rank);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!failure) failure = std::current_exception();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  if (failure) std::rethrow_exception(failure);
}

/// A free port of the loopback interface; somebody may take it before it is used, but nobody here does.
inline int free_port() {
  for (int port = 20000 + static_cast<int>(std::chrono::steady_clock::now().time_since_epoch().count() % 9000);; ++port) {
    if (listen_on({"127.0.0.1", port})) return port;
  }
}

inline JobSettings job_settings(int rank, int ranks, int port) {
  JobSettings settings;
  settings.rank = rank;
  settings.world_size = ranks;
  settings.meeting = {{"127.0.0.1", port}};
  settings.token = "a token";
  settings.program = "1.0";
  settings.host = "host" + std::to_string(rank);
  settings.join_within = std::chrono::seconds(20);
  return settings;
}

/// A communicator of Gloo for this rank.
inline std::unique_ptr<Communicator> open_gloo(Job& job, int rank, int ranks) {
  CommunicatorSettings settings;
  settings.rank = rank;
  settings.world_size = ranks;
  settings.address = job.address();
  settings.exchange = [&job](const std::string& own) { return job.exchange(own); };
  return open_communicator(std::filesystem::path(std::getenv("RECHOST_BUILD_DIR")) / "lib/rechost/rechost_gloo.so", settings);
}

/// Runs `body` with a communicator for each of so many ranks.
inline void with_gloo(int ranks, const std::function<void(Communicator& communicator)>& body) {
  const int port = free_port();
  in_threads(ranks, [&](int rank) {
    const auto job = Job::join(job_settings(rank, ranks, port));
    const auto communicator = open_gloo(*job, rank, ranks);
    body(*communicator);
    communicator->barrier();
  });
}

}  // namespace rechost::test
