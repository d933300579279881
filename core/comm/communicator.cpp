#include "comm/communicator.h"

#include <algorithm>
#include <numeric>

namespace rechost {

std::vector<std::vector<std::byte>> gather_packets(Communicator& communicator, std::span<const std::byte> own) {
  const auto ranks = static_cast<std::size_t>(communicator.world_size());
  const auto size = static_cast<std::int64_t>(own.size());
  std::vector<std::int64_t> sizes(ranks);
  const std::vector<std::int64_t> each(ranks, sizeof(std::int64_t));
  communicator.all_gather(std::as_bytes(std::span(&size, 1)), each, std::as_writable_bytes(std::span(sizes)));
  std::vector<std::byte> all(static_cast<std::size_t>(std::accumulate(sizes.begin(), sizes.end(), std::int64_t{0})));
  communicator.all_gather(own, sizes, all);
  std::vector<std::vector<std::byte>> packets;
  auto from = all.begin();
  for (const std::int64_t bytes : sizes) {
    packets.emplace_back(from, from + bytes);
    from += bytes;
  }
  return packets;
}

std::string broadcast_text(Communicator& communicator, const std::string& text, int root) {
  auto size = static_cast<std::int64_t>(text.size());
  communicator.broadcast(std::as_writable_bytes(std::span(&size, 1)), root);
  std::string result = communicator.rank() == root ? text : std::string(static_cast<std::size_t>(size), '\0');
  communicator.broadcast(std::as_writable_bytes(std::span(result)), root);
  return result;
}

}  // namespace rechost
