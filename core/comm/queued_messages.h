#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <span>
#include <vector>

#include "base/error.h"
#include "comm/messages.h"

namespace rechost {

/// A message on its way to or from a peer, its header first. `Byte` is const on the way out.
template <typename Byte>
struct QueuedMessage {
  int rank = 0;
  int way = 0;  ///< to this rank, as what carries it counts them: a socket, a place in shared memory
  MessageHeader header{};
  std::size_t size = 0;  ///< bytes after the header
  Byte* bytes = nullptr;
  std::size_t done = 0;  ///< of header and bytes together
  std::vector<std::byte>* packet = nullptr;  ///< gets as many bytes as the header says

  bool complete() const { return done == sizeof(MessageHeader) + size; }
  bool in_header() const { return done < sizeof(MessageHeader); }
  /// What is left of the header, and of the bytes.
  std::array<std::span<Byte>, 2> rest() {
    const std::size_t of_header = std::min(done, sizeof(MessageHeader));
    const std::size_t of_bytes = done - of_header;
    return {std::span<Byte>(reinterpret_cast<Byte*>(&header) + of_header, sizeof(MessageHeader) - of_header), std::span<Byte>(bytes + of_bytes, size - of_bytes)};
  }
};

/// The messages of one operation in both directions, whatever carries them: what is to be moved still, and whether what comes is what was awaited.
class QueuedMessages : public Messages {
 public:
  void start(const char* operation, std::span<const std::byte> from, std::span<const Piece> sends, std::span<std::byte> to,
             std::span<const Piece> receives) final {
    begin(operation, from, sends);
    for (const Piece& piece : receives) incoming_.push_back({.rank = piece.rank, .way = way_to(piece.rank), .size = piece.size, .bytes = to.data() + piece.first});
    progress();
  }

  void start(const char* operation, std::span<const std::byte> from, std::span<const Piece> sends, std::span<const Packet> packets) final {
    begin(operation, from, sends);
    for (const Packet& packet : packets) incoming_.push_back({.rank = packet.rank, .way = way_to(packet.rank), .packet = packet.bytes});
    progress();
  }

  void abort() final {
    aborted_ = true;
    wake();
  }

 protected:
  using Outgoing = QueuedMessage<const std::byte>;
  using Incoming = QueuedMessage<std::byte>;

  virtual int way_to(int rank) const = 0;
  /// Moves what can be moved now; true when the message is complete.
  virtual bool push(Outgoing& message) = 0;
  virtual bool pull(Incoming& message) = 0;
  /// Ends a wait in finish(), from another thread.
  virtual void wake() = 0;

  /// All messages; true when nothing is left.
  bool progress() {
    if (aborted_) fail<CommError>("{}: ended because a rank is gone", operation_);
    bool done = true;
    for (Outgoing& message : outgoing_) done = push(message) && done;
    for (Incoming& message : incoming_) done = pull(message) && done;
    return done;
  }

  /// `count` more bytes of the message have come: when its header is whole by them, whether it is the message that was awaited. A packet learns its size.
  void advance(Incoming& message, std::size_t count) const {
    const bool was_in_header = message.in_header();
    message.done += count;
    if (!was_in_header || message.in_header()) return;
    if (message.packet != nullptr && message.header.operation == count_) {
      message.packet->resize(static_cast<std::size_t>(message.header.size));
      message.size = message.packet->size();
      message.bytes = message.packet->data();
      return;
    }
    if (message.header.operation == count_ && message.header.size == message.size) return;
    fail<CommError>("{}: rank {} has sent {} bytes in its operation {} where {} were awaited in operation {}", operation_, message.rank,
                    message.header.size, message.header.operation, message.size, count_);
  }

  const char* operation() const { return operation_; }
  bool aborted() const { return aborted_; }
  const std::vector<Outgoing>& outgoing() const { return outgoing_; }
  const std::vector<Incoming>& incoming() const { return incoming_; }

 private:
  void begin(const char* operation, std::span<const std::byte> from, std::span<const Piece> sends) {
    operation_ = operation;
    ++count_;
    outgoing_.clear();
    incoming_.clear();
    for (const Piece& piece : sends) {
      outgoing_.push_back({.rank = piece.rank, .way = way_to(piece.rank), .header = {count_, piece.size}, .size = piece.size, .bytes = from.data() + piece.first});
    }
  }

  std::atomic<bool> aborted_{false};
  const char* operation_ = "";
  std::uint64_t count_ = 0;
  std::vector<Outgoing> outgoing_;
  std::vector<Incoming> incoming_;
};

}  // namespace rechost
