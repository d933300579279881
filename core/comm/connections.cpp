#include "comm/connections.h"

#include <algorithm>
#include <charconv>
#include <exception>
#include <optional>
#include <thread>

#include "base/error.h"
#include "comm/doorkeeper.h"

namespace rechost {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

/// All ranks are here, and listen or are about to connect.
constexpr milliseconds kWait{30'000};
constexpr milliseconds kConnectWait{5000};
constexpr milliseconds kAnswerWait{10'000};
constexpr milliseconds kPause{50};

/// Which rank it is that connects, and which it wants to reach: a proof for one door opens no other.
std::string statement(int from, int to) { return fmt::format("data {} {}", from, to); }

/// Lets those ranks in, until all have come.
void receive(Doorkeeper& doorkeeper, const CommunicatorSettings& settings, std::vector<int> awaited, std::vector<FileDescriptor>& connections) {
  const Clock::time_point deadline = Clock::now() + kWait;
  while (!awaited.empty()) {
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) fail<CommError>("rank {} has not connected within {} s", awaited.front(), kWait.count() / 1000);
    std::vector<pollfd> waiting;
    doorkeeper.add_to(waiting);
    poll(waiting.data(), waiting.size(), static_cast<int>(std::min(left, milliseconds(1000)).count()));
    for (Guest& guest : doorkeeper.hear(waiting)) {
      const auto who = std::find_if(awaited.begin(), awaited.end(), [&](int rank) { return guest.statement == statement(rank, settings.rank); });
      if (who == awaited.end()) fail<CommError>("\"{}\" has connected from {}, which is none of the ranks that are awaited", guest.statement, guest.address);
      connections[static_cast<std::size_t>(*who)] = std::move(guest.socket);
      awaited.erase(who);
    }
  }
}

FileDescriptor reach(const CommunicatorSettings& settings, int rank, const Endpoint& endpoint) {
  const Clock::time_point deadline = Clock::now() + kWait;
  std::string why = "who listens there is not of this job";
  while (Clock::now() < deadline) {
    FrameReader reader;
    if (auto socket = connect_to(endpoint, kConnectWait, &why);
        socket && introduce(*socket, reader, settings.key, statement(settings.rank, rank), kAnswerWait) == Welcome::kProved) {
      return std::move(*socket);
    }
    std::this_thread::sleep_for(kPause);
  }
  fail<CommError>("rank {} cannot connect to rank {} at {} within {} s: {}. Ranks must reach one another, on any port", settings.rank, rank,
                  endpoint.text(), kWait.count() / 1000, why);
}

/// "41234 10.0.0.7"
Endpoint parse_endpoint(const std::string& text) {
  Endpoint endpoint;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), endpoint.port);
  if (error != std::errc() || *end != ' ') fail<CommError>("a rank says that it listens at \"{}\"", text);
  endpoint.host = std::string(end + 1, text.data() + text.size());
  return endpoint;
}

}  // namespace

std::vector<FileDescriptor> connect_ranks(const CommunicatorSettings& settings, const std::vector<int>& to) {
  std::vector<int> higher = to;
  std::erase_if(higher, [&](int rank) { return rank <= settings.rank; });
  std::optional<Doorkeeper> doorkeeper;
  std::string own = "0 ";
  if (!higher.empty()) {
    auto listener = listen_on({settings.address, 0});
    if (!listener) fail<CommError>("cannot listen on {}: no port is free", settings.address);
    doorkeeper.emplace(std::move(*listener), settings.key, "data");
    own = fmt::format("{} {}", doorkeeper->port(), settings.address);
  }
  const std::vector<std::string> all = settings.exchange(own);

  std::vector<FileDescriptor> connections(static_cast<std::size_t>(settings.world_size));
  // At the same time, or each rank would wait for all below it.
  std::exception_ptr failure;
  std::thread receiver;
  if (doorkeeper) {
    receiver = std::thread([&] {
      try {
        receive(*doorkeeper, settings, higher, connections);
      } catch (...) {
        failure = std::current_exception();
      }
    });
  }
  std::exception_ptr own_failure;
  try {
    for (const int rank : to) {
      const auto index = static_cast<std::size_t>(rank);
      if (rank < settings.rank) connections[index] = reach(settings, rank, parse_endpoint(all[index]));
    }
  } catch (...) {
    own_failure = std::current_exception();
  }
  if (receiver.joinable()) receiver.join();
  if (own_failure) std::rethrow_exception(own_failure);
  if (failure) std::rethrow_exception(failure);
  // Nobody says more than the handshake before everybody has heard it to its end.
  settings.exchange("connected");
  for (const FileDescriptor& connection : connections) {
    if (connection) wait_long(connection);
  }
  return connections;
}

}  // namespace rechost
