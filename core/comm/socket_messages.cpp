#include "comm/socket_messages.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/error.h"
#include "comm/queued_messages.h"

namespace rechost {
namespace {

using Clock = std::chrono::steady_clock;

/// So that abort() and the deadline are seen; data wake this side at once.
constexpr int kNap_ms = 1000;

/// Header and bytes, which one call of the system moves.
template <typename Byte>
std::array<iovec, 2> parts_of(QueuedMessage<Byte>& message) {
  std::array<iovec, 2> parts;
  // sendmsg() does not write into what it sends.
  std::ranges::transform(message.rest(), parts.begin(), [](std::span<Byte> part) { return iovec{const_cast<std::byte*>(part.data()), part.size()}; });
  return parts;
}

/// Everything happens in the thread that calls; nobody else has to be woken for a message.
class SocketMessages final : public QueuedMessages {
 public:
  SocketMessages(std::vector<FileDescriptor> connections, std::chrono::milliseconds deadline)
      : connections_(std::move(connections)), deadline_(deadline), wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

  void finish() override {
    const auto until = Clock::now() + deadline_;
    while (!progress()) {
      if (Clock::now() > until) fail<CommError>("{}: passed its deadline of {} s", operation(), deadline_.count() / 1000);
      sleep();
    }
  }

 private:
  int way_to(int rank) const override { return connections_[static_cast<std::size_t>(rank)].number(); }

  void wake() override {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = write(wake_.number(), &one, sizeof(one));
  }

  bool push(Outgoing& message) override {
    while (!message.complete()) {
      std::array<iovec, 2> rest = parts_of(message);
      msghdr parts{};
      parts.msg_iov = rest.data();
      parts.msg_iovlen = rest.size();
      const ssize_t count = sendmsg(message.way, &parts, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (count > 0) {
        message.done += static_cast<std::size_t>(count);
      } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
        return false;
      } else if (errno != EINTR) {
        fail<CommError>("{}: cannot send to rank {}: {}", operation(), message.rank, std::strerror(errno));
      }
    }
    return true;
  }

  bool pull(Incoming& message) override {
    while (!message.complete()) {
      std::array<iovec, 2> rest = parts_of(message);
      msghdr parts{};
      parts.msg_iov = rest.data();
      parts.msg_iovlen = rest.size();
      const ssize_t count = recvmsg(message.way, &parts, MSG_DONTWAIT);
      if (count > 0) {
        advance(message, static_cast<std::size_t>(count));
      } else if (count == 0) {
        fail<CommError>("{}: rank {} has closed its connection", operation(), message.rank);
      } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
        return false;
      } else if (errno != EINTR) {
        fail<CommError>("{}: cannot receive from rank {}: {}", operation(), message.rank, std::strerror(errno));
      }
    }
    return true;
  }

  /// Until something can be moved, or for a while.
  void sleep() {
    waiting_.assign(1, {.fd = wake_.number(), .events = POLLIN, .revents = 0});
    for (const Outgoing& message : outgoing()) {
      if (!message.complete()) waiting_.push_back({.fd = message.way, .events = POLLOUT, .revents = 0});
    }
    for (const Incoming& message : incoming()) {
      if (!message.complete()) waiting_.push_back({.fd = message.way, .events = POLLIN, .revents = 0});
    }
    poll(waiting_.data(), waiting_.size(), kNap_ms);
  }

  std::vector<FileDescriptor> connections_;  ///< by rank
  std::chrono::milliseconds deadline_;
  FileDescriptor wake_;
  std::vector<pollfd> waiting_;
};

}  // namespace

std::unique_ptr<Messages> open_socket_messages(std::vector<FileDescriptor> connections, std::chrono::milliseconds deadline) {
  return std::make_unique<SocketMessages>(std::move(connections), deadline);
}

}  // namespace rechost
