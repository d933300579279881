#include "comm/single_communicator.h"

#include <algorithm>

#include "comm/message_sizes.h"

namespace rechost {

void SingleCommunicator::all_reduce_sum(std::span<float> /*values*/) {}

void SingleCommunicator::reduce_scatter_sum(std::span<const float> values, std::span<const std::int64_t> sizes, std::span<float> own) {
  require_parts(values, sizes, 1, 0, own.size());
  std::copy(values.begin(), values.end(), own.begin());
}

void SingleCommunicator::all_to_all(std::span<const std::byte> send, std::span<const std::int64_t> send_bytes, std::span<std::byte> receive,
                                    std::span<const std::int64_t> receive_bytes) {
  require_sizes("all_to_all: send", send_bytes, 1, send.size());
  require_sizes("all_to_all: receive", receive_bytes, 1, receive.size());
  require_same("all_to_all", send.size(), receive.size());
  std::copy(send.begin(), send.end(), receive.begin());
}

void SingleCommunicator::all_to_all_packets(std::span<const std::byte> send, std::span<const std::int64_t> send_bytes,
                                            std::vector<std::vector<std::byte>>& received) {
  require_sizes("all_to_all_packets", send_bytes, 1, send.size());
  received.resize(1);
  received[0].assign(send.begin(), send.end());
}

void SingleCommunicator::all_gather(std::span<const std::byte> send, std::span<const std::int64_t> bytes, std::span<std::byte> receive) {
  require_sizes("all_gather", bytes, 1, receive.size());
  require_same("all_gather", send.size(), receive.size());
  std::copy(send.begin(), send.end(), receive.begin());
}

void SingleCommunicator::broadcast(std::span<std::byte> /*bytes*/, int root) { require_rank("broadcast", root, 1); }

}  // namespace rechost
