#pragma once

#include <memory>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "comm/messages.h"

namespace rechost {

/// What ranks do together, made of messages straight between each pair of ranks, none where there are no bytes. Sums go in the order of the
/// ranks, so that every rank gets the same bits whatever carries them.
class MessageCommunicator final : public Communicator {
 public:
  /// A way to some of the other ranks.
  struct Route {
    std::string name;  ///< "TCP", "shared memory"
    std::vector<int> ranks;
    std::unique_ptr<Messages> messages;
  };

  /// The routes lead to every other rank, to each by one.
  MessageCommunicator(int rank, int world_size, std::vector<Route> routes);

  int rank() const override { return rank_; }
  int world_size() const override { return world_size_; }
  std::string name() const override;

  void all_reduce_sum(std::span<float> values) override;
  void reduce_scatter_sum(std::span<const float> values, std::span<const std::int64_t> sizes, std::span<float> own) override;
  void all_to_all(std::span<const std::byte> send, std::span<const std::int64_t> send_bytes, std::span<std::byte> receive,
                  std::span<const std::int64_t> receive_bytes) override;
  void all_to_all_packets(std::span<const std::byte> send, std::span<const std::int64_t> send_bytes,
                          std::vector<std::vector<std::byte>>& received) override;
  void all_gather(std::span<const std::byte> send, std::span<const std::int64_t> bytes, std::span<std::byte> receive) override;
  void broadcast(std::span<std::byte> bytes, int root) override;
  void barrier() override;
  void abort() override;
  Traffic traffic() const override { return traffic_; }

 private:
  /// The pieces of one operation that go by one route.
  struct Part {
    std::vector<Piece> sends;
    std::vector<Piece> receives;
    std::vector<Packet> packets;
  };

  std::span<const float> add_up(const char* operation, std::span<const float> values, std::span<const std::int64_t> bytes);
  void exchange(const char* operation, std::span<const std::byte> send, std::span<const std::int64_t> send_bytes, std::span<std::byte> receive,
                std::span<const std::int64_t> receive_bytes);
  void gather(const char* operation, std::span<const std::byte> send, std::span<const std::int64_t> bytes, std::span<std::byte> receive);
  void clear();
  void add_send(const Piece& piece);
  void add_receive(const Piece& piece);
  void move_pieces(const char* operation, std::span<const std::byte> from, std::span<std::byte> to);
  Part& part_of(int rank) { return parts_[route_of_[static_cast<std::size_t>(rank)]]; }

  int rank_;
  int world_size_;
  std::vector<Route> routes_;
  std::vector<std::size_t> route_of_;  ///< by rank
  std::vector<Part> parts_;            ///< by route
  std::vector<float> terms_;           ///< [world size, own part of a sum]
  Traffic traffic_;
};

}  // namespace rechost
