#include "comm/link_speed.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

#include "base/time.h"

namespace rechost {
namespace {

/// Of a rank, to all others together: more than the caches of a core hold.
constexpr std::int64_t kSentBytes = 2 << 20;
/// To one other.
constexpr std::int64_t kLeastBytes = 16 << 10;
constexpr int kRounds = 4;

/// Between ranks of one node, or of different ones.
double measure(Communicator& communicator, std::span<const int> node_of, bool within) {
  const auto own = static_cast<std::size_t>(communicator.rank());
  const auto talk = [&](std::size_t a, std::size_t b) { return a != b && (node_of[a] == node_of[b]) == within; };
  const auto peers_of = [&](std::size_t rank) {
    std::int64_t peers = 0;
    for (std::size_t other = 0; other < node_of.size(); ++other) peers += talk(rank, other) ? 1 : 0;
    return peers;
  };
  // The same on all ranks: what two of them exchange is as much both ways.
  std::int64_t most_peers = 0;
  for (std::size_t rank = 0; rank < node_of.size(); ++rank) most_peers = std::max(most_peers, peers_of(rank));
  if (most_peers == 0) return 0.0;
  const std::int64_t each = std::max(kLeastBytes, kSentBytes / most_peers);
  std::vector<std::int64_t> bytes(node_of.size(), 0);
  for (std::size_t other = 0; other < bytes.size(); ++other) bytes[other] = talk(own, other) ? each : 0;
  const std::int64_t all = each * peers_of(own);
  std::vector<std::byte> sent(static_cast<std::size_t>(all), std::byte{1});
  std::vector<std::byte> received(sent.size());
  double fastest = 0.0;
  for (int round = 0; round < kRounds; ++round) {
    communicator.barrier();
    const auto begin = std::chrono::steady_clock::now();
    communicator.all_to_all(sent, bytes, received, bytes);
    fastest = std::max(fastest, 2.0 * static_cast<double>(all) / seconds_since(begin));
  }
  std::vector<double> of_ranks(node_of.size());
  const std::vector<std::int64_t> one(node_of.size(), sizeof(double));
  communicator.all_gather(std::as_bytes(std::span(&fastest, 1)), one, std::as_writable_bytes(std::span(of_ranks)));
  double sum = 0.0;
  int talking = 0;
  for (std::size_t rank = 0; rank < of_ranks.size(); ++rank) {
    if (peers_of(rank) == 0) continue;
    sum += of_ranks[rank];
    ++talking;
  }
  return sum / talking;
}

}  // namespace

LinkSpeed measure_links(Communicator& communicator, std::span<const int> node_of) {
  return {.within = measure(communicator, node_of, true), .between = measure(communicator, node_of, false)};
}

}  // namespace rechost
