#include "comm/connections.h"

#include <catch2/catch.hpp>

#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "comm/handshake.h"
#include "core/comm/in_threads.h"

using namespace rechost;
using rechost::test::free_port;
using rechost::test::in_threads;

namespace {

/// Where ranks listen, as connect_ranks() has them tell each other: "41234 127.0.0.1".
std::vector<Endpoint> endpoints(const std::vector<std::string>& packets) {
  std::vector<Endpoint> found;
  for (const std::string& packet : packets) {
    const std::size_t space = packet.find(' ');
    if (space == std::string::npos || packet.find_first_not_of("0123456789") != space || packet.substr(0, space) == "0") continue;
    found.push_back({packet.substr(space + 1), std::stoi(packet.substr(0, space))});
  }
  return found;
}

/// What a scanner does, what programs of other kinds say, and what rank `from` said to rank `to` when they met an earlier time.
std::vector<FileDescriptor> attack(const Endpoint& endpoint, int from, int to) {
  std::vector<FileDescriptor> strangers;
  for (int i = 0; i < 8; ++i) {
    auto socket = connect_to(endpoint, std::chrono::seconds(5));
    if (!socket) throw std::runtime_error("nobody listens at " + endpoint.text());
    if (i % 4 == 0) continue;  // gone again
    if (i % 4 == 1) (void)!write(socket->number(), "GET / HTTP/1.1\r\n\r\n", 18);
    if (i % 4 == 2) {
      const Nonces nonces{random_nonce(), random_nonce()};
      const std::string statement = "data " + std::to_string(from) + " " + std::to_string(to);
      send_frame(*socket, {Frame::Kind::kHello, nonces.guest}, std::chrono::seconds(1));
      send_frame(*socket, {Frame::Kind::kIdentity, proof("a token", Prover::kGuest, nonces, statement) + statement}, std::chrono::seconds(1));
    }
    strangers.push_back(std::move(*socket));  // silent, from now on or altogether
  }
  return strangers;
}

}  // namespace

TEST_CASE("strangers at every port that ranks open for their data get nowhere and keep nobody from connecting") {
  constexpr int kRanks = 4;
  const int port = free_port();
  std::mutex mutex;
  std::size_t attacked = 0;
  in_threads(kRanks, [&](int rank) {
    const auto job = Job::join(test::job_settings(rank, kRanks, port));
    std::vector<FileDescriptor> strangers;
    std::vector<Endpoint> known;
    CommunicatorSettings settings = test::communicator_settings(*job, rank, kRanks, "host" + std::to_string(rank));
    settings.exchange = [&](const std::string& own) {
      const std::vector<std::string> packets = job->exchange(own);
      // The last one connects to all: nobody of those it is to reach has heard it yet.
      const std::vector<Endpoint> found = endpoints(packets);
      if (rank != kRanks - 1 || found.empty()) return packets;
      known = found;
      for (std::size_t to = 0; to < found.size(); ++to) {
        for (FileDescriptor& stranger : attack(found[to], rank, static_cast<int>(to))) strangers.push_back(std::move(stranger));
      }
      return packets;
    };
    const auto communicator = open_communicator(settings);
    for (int round = 0; round < 10; ++round) {
      std::vector<float> values(1000, static_cast<float>(rank));
      communicator->all_reduce_sum(values);
      if (values.front() != 6.0F || values.back() != 6.0F) throw std::runtime_error("a sum of other numbers");
    }
    for (const Endpoint& endpoint : known) {
      if (connect_to(endpoint, std::chrono::seconds(1))) throw std::runtime_error("somebody still listens at " + endpoint.text());
    }
    communicator->barrier();
    const std::lock_guard lock(mutex);
    attacked += known.size();
  });
  CHECK(attacked == kRanks - 1);
}

TEST_CASE("a rank that nobody awaits is named, and all learn of it") {
  const int port = free_port();
  std::vector<std::string> errors(3);
  in_threads(3, [&](int rank) {
    const auto job = Job::join(test::job_settings(rank, 3, port));
    const CommunicatorSettings settings = test::communicator_settings(*job, rank, 3, "host");
    // Rank 0 knows of a connection with rank 1 alone.
    const std::vector<std::vector<int>> to{{1}, {}, {0}};
    try {
      connect_ranks(settings, to[static_cast<std::size_t>(rank)]);
    } catch (const CommError& error) {
      errors[static_cast<std::size_t>(rank)] = error.what();
      job->fail(error.what());
      std::this_thread::sleep_for(std::chrono::milliseconds(200));  // or leaving is what the others hear of
    }
  });
  for (const std::string& error : errors) CHECK_THAT(error, Catch::Contains("\"data 2 0\" has connected from 127.0.0.1"));
}
