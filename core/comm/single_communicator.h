#pragma once

#include "comm/communicator.h"

namespace rechost {

/// One rank alone: everything it sends comes back.
class SingleCommunicator final : public Communicator {
 public:
  int rank() const override { return 0; }
  int world_size() const override { return 1; }
  std::string name() const override { return "single"; }
  void all_reduce_sum(std::span<float> values) override;
  void reduce_scatter_sum(std::span<const float> values, std::span<const std::int64_t> sizes, std::span<float> own) override;
  void all_to_all(std::span<const std::byte> send, std::span<const std::int64_t> send_bytes, std::span<std::byte> receive,
                  std::span<const std::int64_t> receive_bytes) override;
  void all_to_all_packets(std::span<const std::byte> send, std::span<const std::int64_t> send_bytes,
                          std::vector<std::vector<std::byte>>& received) override;
  void all_gather(std::span<const std::byte> send, std::span<const std::int64_t> bytes, std::span<std::byte> receive) override;
  void broadcast(std::span<std::byte> bytes, int root) override;
  void barrier() override {}
  void abort() override {}
};

}  // namespace rechost
