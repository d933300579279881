#pragma once

#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <string>
#include <vector>

namespace rechost {

/// Bytes between this rank and others, without the 16 that stand before each message.
struct Traffic {
  std::int64_t sent_bytes = 0;
  std::int64_t received_bytes = 0;
  std::int64_t sent_messages = 0;

  Traffic& operator+=(const Traffic& other) {
    sent_bytes += other.sent_bytes;
    received_bytes += other.received_bytes;
    sent_messages += other.sent_messages;
    return *this;
  }
  Traffic operator-(const Traffic& before) const {
    return {sent_bytes - before.sent_bytes, received_bytes - before.received_bytes, sent_messages - before.sent_messages};
  }
};

/// What ranks do together. Every rank calls the same operations in the same order, each from one thread; a call returns when this rank's
/// part is done and its buffers may be used again. Throws CommError when a peer is gone or an operation passes its deadline; the
/// communicator is of no further use then.
class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int world_size() const = 0;
  /// What carries the bytes: "single", "shared memory", "TCP", "shared memory and TCP", "nccl".
  virtual std::string name() const = 0;

  /// Element-wise sum over all ranks, in place; every rank ends with the same bits.
  virtual void all_reduce_sum(std::span<float> values) = 0;

  /// Element-wise sum over all ranks, a part for each: `values` holds sizes[r] numbers for each rank r, one rank after another; `own`
  /// [sizes[rank()]] gets the sum of this rank's part, with the bits that all_reduce_sum() would give.
  virtual void reduce_scatter_sum(std::span<const float> values, std::span<const std::int64_t> sizes, std::span<float> own) = 0;

  /// `send` holds send_bytes[r] bytes for each rank r, one rank after another; `receive` gets receive_bytes[r] from each, likewise.
  virtual void all_to_all(std::span<const std::byte> send, std::span<const std::int64_t> send_bytes, std::span<std::byte> receive,
                          std::span<const std::int64_t> receive_bytes) = 0;

  /// The same where a rank does not know how much the others have for it: received[r] becomes what rank r has sent.
  virtual void all_to_all_packets(std::span<const std::byte> send, std::span<const std::int64_t> send_bytes,
                                  std::vector<std::vector<std::byte>>& received);

  /// `receive` gets bytes[r] from each rank r, one after another; bytes[rank()] is the size of `send`.
  virtual void all_gather(std::span<const std::byte> send, std::span<const std::int64_t> bytes, std::span<std::byte> receive) = 0;

  /// Every rank ends with the bytes of `root`.
  virtual void broadcast(std::span<std::byte> bytes, int root) = 0;

  /// Returns when all ranks have called it.
  virtual void barrier() = 0;

  /// Ends an operation that waits, from another thread: it throws CommError.
  virtual void abort() = 0;

  /// Since the start. The thread of the operations.
  virtual Traffic traffic() const { return {}; }
};

// Here, because a module that makes communicators links nothing of this floor.
inline void Communicator::all_to_all_packets(std::span<const std::byte> send, std::span<const std::int64_t> send_bytes,
                                      std::vector<std::vector<std::byte>>& received) {
  const auto ranks = static_cast<std::size_t>(world_size());
  const std::vector<std::int64_t> each(ranks, sizeof(std::int64_t));
  std::vector<std::int64_t> sizes(ranks);
  all_to_all(std::as_bytes(send_bytes), each, std::as_writable_bytes(std::span(sizes)), each);
  std::vector<std::byte> all(static_cast<std::size_t>(std::accumulate(sizes.begin(), sizes.end(), std::int64_t{0})));
  all_to_all(send, send_bytes, all, sizes);
  received.resize(ranks);
  auto from = all.begin();
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    received[rank].assign(from, from + sizes[rank]);
    from += sizes[rank];
  }
}

/// Parts of so many elements of `size` bytes, and `more` bytes with each, as the operations above take them.
inline std::vector<std::int64_t> in_bytes(std::span<const std::int64_t> counts, std::int64_t size, std::int64_t more = 0) {
  std::vector<std::int64_t> bytes;
  for (const std::int64_t count : counts) bytes.push_back(count * size + more);
  return bytes;
}

/// Packets of any size: what each rank sent, by rank.
std::vector<std::vector<std::byte>> gather_packets(Communicator& communicator, std::span<const std::byte> own);

/// The text of rank `root`, on every rank.
std::string broadcast_text(Communicator& communicator, const std::string& text, int root = 0);

}  // namespace rechost
