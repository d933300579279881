#include "comm/socket_messages.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/error.h"

namespace rechost {
namespace {

using Clock = std::chrono::steady_clock;

/// So that abort() and the deadline are seen; data wake this side at once.
constexpr int kNap_ms = 1000;

/// A message on its way to or from a peer, its header first. `Byte` is const on the way out.
template <typename Byte>
struct Message {
  int rank = 0;
  int socket = -1;
  MessageHeader header{};
  std::size_t size = 0;  ///< bytes after the header
  Byte* bytes = nullptr;
  std::size_t done = 0;  ///< of header and bytes together
  std::vector<std::byte>* packet = nullptr;  ///< gets as many bytes as the header says

  bool complete() const { return done == sizeof(MessageHeader) + size; }
  bool in_header() const { return done < sizeof(MessageHeader); }

  /// What is left of the header, then of the bytes: one call of the system moves both.
  std::array<iovec, 2> rest() {
    const std::size_t of_header = std::min(done, sizeof(MessageHeader));
    const std::size_t of_bytes = done - of_header;
    return {iovec{reinterpret_cast<std::byte*>(&header) + of_header, sizeof(MessageHeader) - of_header},
            iovec{const_cast<std::byte*>(bytes) + of_bytes, size - of_bytes}};  // sendmsg() does not write into what it sends
  }
};

/// Everything happens in the thread that calls; nobody else has to be woken for a message.
class SocketMessages final : public Messages {
 public:
  SocketMessages(std::vector<FileDescriptor> connections, std::chrono::milliseconds deadline)
      : connections_(std::move(connections)), deadline_(deadline), wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

  void start(const char* operation, std::span<const std::byte> from, std::span<const Piece> sends, std::span<std::byte> to,
             std::span<const Piece> receives) override {
    begin(operation, from, sends);
    for (const Piece& piece : receives) incoming_.push_back({piece.rank, socket_of(piece.rank), {}, piece.size, to.data() + piece.first});
    progress();
  }

  void start(const char* operation, std::span<const std::byte> from, std::span<const Piece> sends, std::span<const Packet> packets) override {
    begin(operation, from, sends);
    for (const Packet& packet : packets) incoming_.push_back({.rank = packet.rank, .socket = socket_of(packet.rank), .packet = packet.bytes});
    progress();
  }

  void finish() override {
    const auto until = Clock::now() + deadline_;
    while (!progress()) {
      if (Clock::now() > until) fail<CommError>("{}: passed its deadline of {} s", operation_, deadline_.count() / 1000);
      sleep();
    }
  }

  void abort() override {
    aborted_ = true;
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = write(wake_.number(), &one, sizeof(one));
  }

 private:
  void begin(const char* operation, std::span<const std::byte> from, std::span<const Piece> sends) {
    operation_ = operation;
    ++count_;
    outgoing_.clear();
    incoming_.clear();
    for (const Piece& piece : sends) outgoing_.push_back({piece.rank, socket_of(piece.rank), {count_, piece.size}, piece.size, from.data() + piece.first});
  }

  int socket_of(int rank) const { return connections_[static_cast<std::size_t>(rank)].number(); }

  /// Moves what can be moved now; true when nothing is left.
  bool progress() {
    if (aborted_) fail<CommError>("{}: ended because a rank is gone", operation_);
    bool done = true;
    for (auto& message : outgoing_) done = push(message) && done;
    for (auto& message : incoming_) done = pull(message) && done;
    return done;
  }

  bool push(Message<const std::byte>& message) {
    while (!message.complete()) {
      std::array<iovec, 2> rest = message.rest();
      msghdr parts{};
      parts.msg_iov = rest.data();
      parts.msg_iovlen = rest.size();
      const ssize_t count = sendmsg(message.socket, &parts, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (count > 0) {
        message.done += static_cast<std::size_t>(count);
      } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
        return false;
      } else if (errno != EINTR) {
        fail<CommError>("{}: cannot send to rank {}: {}", operation_, message.rank, std::strerror(errno));
      }
    }
    return true;
  }

  bool pull(Message<std::byte>& message) {
    while (!message.complete()) {
      std::array<iovec, 2> rest = message.rest();
      msghdr parts{};
      parts.msg_iov = rest.data();
      parts.msg_iovlen = rest.size();
      const bool in_header = message.in_header();
      const ssize_t count = recvmsg(message.socket, &parts, MSG_DONTWAIT);
      if (count > 0) {
        message.done += static_cast<std::size_t>(count);
        if (in_header && !message.in_header()) check(message);
      } else if (count == 0) {
        fail<CommError>("{}: rank {} has closed its connection", operation_, message.rank);
      } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
        return false;
      } else if (errno != EINTR) {
        fail<CommError>("{}: cannot receive from rank {}: {}", operation_, message.rank, std::strerror(errno));
      }
    }
    return true;
  }

  /// The header is here: whether the message is the one that was awaited. A packet learns its size.
  void check(Message<std::byte>& message) const {
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

  /// Until something can be moved, or for a while.
  void sleep() {
    waiting_.assign(1, {.fd = wake_.number(), .events = POLLIN, .revents = 0});
    for (const auto& message : outgoing_) {
      if (!message.complete()) waiting_.push_back({.fd = message.socket, .events = POLLOUT, .revents = 0});
    }
    for (const auto& message : incoming_) {
      if (!message.complete()) waiting_.push_back({.fd = message.socket, .events = POLLIN, .revents = 0});
    }
    poll(waiting_.data(), waiting_.size(), kNap_ms);
  }

  std::vector<FileDescriptor> connections_;  ///< by rank
  std::chrono::milliseconds deadline_;
  FileDescriptor wake_;
  std::atomic<bool> aborted_{false};

  const char* operation_ = "";
  std::uint64_t count_ = 0;
  std::vector<Message<const std::byte>> outgoing_;
  std::vector<Message<std::byte>> incoming_;
  std::vector<pollfd> waiting_;
};

}  // namespace

std::unique_ptr<Messages> open_socket_messages(std::vector<FileDescriptor> connections, std::chrono::milliseconds deadline) {
  return std::make_unique<SocketMessages>(std::move(connections), deadline);
}

}  // namespace rechost
