#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace rechost {

/// Bytes that go to or come from one rank: a part of a buffer.
struct Piece {
  int rank = 0;
  std::size_t first = 0;
  std::size_t size = 0;
};

/// What comes from one rank, as much as it has sent.
struct Packet {
  int rank = 0;
  std::vector<std::byte>* bytes = nullptr;
};

/// Stands before each message.
struct MessageHeader {
  std::uint64_t operation;  ///< how many there were before
  std::uint64_t size;
};

/// Moves bytes between this rank and some of the others. Both sides call start() for the same operations in the same order, and agree on the
/// sizes. One thread, except abort().
class Messages {
 public:
  virtual ~Messages() = default;

  /// Begins to move `sends` out of `from` and `receives` into `to`; pieces of no bytes are left out by the caller. `operation` is for
  /// messages. Buffers and pieces stay as they are until finish() has returned. CommError.
  virtual void start(const char* operation, std::span<const std::byte> from, std::span<const Piece> sends, std::span<std::byte> to,
                     std::span<const Piece> receives) = 0;
  /// The same where only the sender knows how much it is; a message to a rank that awaits a packet is sent even if it is empty.
  virtual void start(const char* operation, std::span<const std::byte> from, std::span<const Piece> sends, std::span<const Packet> packets) = 0;
  /// Returns when everything that was begun has been sent and received. CommError when a rank is gone or the deadline has passed.
  virtual void finish() = 0;
  /// From another thread: start() and finish() throw CommError from now on.
  virtual void abort() = 0;
};

}  // namespace rechost
