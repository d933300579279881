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

/// What a communicator of this rank needs; ranks with the same host share memory.
inline CommunicatorSettings communicator_settings(Job& job, int rank, int ranks, const std::string& host) {
  CommunicatorSettings settings;
  settings.host = host;
  settings.rank = rank;
  settings.world_size = ranks;
  settings.address = job.address();
  settings.key = "a token";
  settings.exchange = [&job](const std::string& own) { return job.exchange(own); };
  return settings;
}

/// Runs `body` with a communicator for each of hosts.size() ranks: what carries their bytes follows from the names of their hosts.
inline void with_ranks_on(const std::vector<std::string>& hosts, const std::function<void(Communicator& communicator)>& body) {
  const int ranks = static_cast<int>(hosts.size());
  const int port = free_port();
  in_threads(ranks, [&](int rank) {
    const auto job = Job::join(job_settings(rank, ranks, port));
    const auto communicator = open_communicator(communicator_settings(*job, rank, ranks, hosts[static_cast<std::size_t>(rank)]));
    body(*communicator);
    communicator->barrier();
  });
}

/// Each on a host of its own.
inline void with_tcp(int ranks, const std::function<void(Communicator& communicator)>& body) {
  std::vector<std::string> hosts;
  for (int rank = 0; rank < ranks; ++rank) hosts.push_back("host" + std::to_string(rank));
  with_ranks_on(hosts, body);
}

}  // namespace rechost::test
