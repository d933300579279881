#include "comm/socket.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"

namespace rechost {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::size_t kHeaderBytes = 5;  // length of the body in 4 bytes, kind

struct AddressList {
  addrinfo* first = nullptr;
  AddressList() = default;
  ~AddressList() {
    if (first != nullptr) freeaddrinfo(first);
  }
  AddressList(const AddressList&) = delete;  // owns the list
  AddressList& operator=(const AddressList&) = delete;
};

int look_up(const Endpoint& endpoint, bool to_listen, AddressList& found) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | (to_listen ? AI_PASSIVE : 0);
  const std::string port = std::to_string(endpoint.port);
  return getaddrinfo(endpoint.host.empty() ? nullptr : endpoint.host.c_str(), port.c_str(), &hints, &found.first);
}

int poll_one(int descriptor, short events, milliseconds wait) {
  pollfd entry{.fd = descriptor, .events = events, .revents = 0};
  return poll(&entry, 1, static_cast<int>(std::max<std::int64_t>(wait.count(), 0)));
}

milliseconds left_until(Clock::time_point deadline) { return std::chrono::duration_cast<milliseconds>(deadline - Clock::now()); }

void prepare_connection(int descriptor) {
  const int on = 1;
  setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  // A peer that the network has cut off shows as an error instead of silence.
  const unsigned int unanswered_ms = 8000;
  setsockopt(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, &unanswered_ms, sizeof(unanswered_ms));
  fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK);
}

std::string address_text(const sockaddr_storage& address, socklen_t length) {
  std::array<char, NI_MAXHOST> text{};
  if (getnameinfo(reinterpret_cast<const sockaddr*>(&address), length, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST) != 0) return "?";
  return text.data();
}

}  // namespace

std::string Endpoint::text() const { return fmt::format("{}:{}", host.empty() ? "*" : host, port); }

std::optional<FileDescriptor> listen_on(const Endpoint& endpoint) {
  AddressList found;
  if (const int error = look_up(endpoint, true, found); error != 0) {
    fail<LookupError>("cannot listen on {}: {}", endpoint.text(), gai_strerror(error));
  }
  std::string reason = "no address";
  for (const addrinfo* entry = found.first; entry != nullptr; entry = entry->ai_next) {
    FileDescriptor socket_of(::socket(entry->ai_family, entry->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, entry->ai_protocol));
    if (socket_of.number() < 0) continue;
    const int on = 1;
    setsockopt(socket_of.number(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(socket_of.number(), entry->ai_addr, entry->ai_addrlen) == 0 && ::listen(socket_of.number(), 1024) == 0) return socket_of;
    if (errno == EADDRINUSE) return std::nullopt;
    reason = std::strerror(errno);
  }
  fail<CommError>("cannot listen on {}: {}; it must be an address of this machine", endpoint.text(), reason);
}

std::optional<FileDescriptor> connect_to(const Endpoint& endpoint, milliseconds wait, std::string* why) {
  AddressList found;
  std::string reason;
  if (why == nullptr) why = &reason;
  if (const int error = look_up(endpoint, false, found); error != 0) {
    *why = fmt::format("{} cannot be looked up: {}", endpoint.host, gai_strerror(error));
    return std::nullopt;
  }
  for (const addrinfo* entry = found.first; entry != nullptr; entry = entry->ai_next) {
    FileDescriptor socket_of(::socket(entry->ai_family, entry->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, entry->ai_protocol));
    if (socket_of.number() < 0) continue;
    if (::connect(socket_of.number(), entry->ai_addr, entry->ai_addrlen) != 0) {
      int error = errno;
      if (error == EINPROGRESS && poll_one(socket_of.number(), POLLOUT, wait) <= 0) error = ETIMEDOUT;
      socklen_t length = sizeof(error);
      if (error == EINPROGRESS) getsockopt(socket_of.number(), SOL_SOCKET, SO_ERROR, &error, &length);
      *why = error == ETIMEDOUT ? "no answer" : std::strerror(error);
      if (error != 0) continue;
    }
    prepare_connection(socket_of.number());
    return socket_of;
  }
  return std::nullopt;
}

std::optional<FileDescriptor> accept_from(const FileDescriptor& listener, milliseconds wait) {
  if (poll_one(listener.number(), POLLIN, wait) <= 0) return std::nullopt;
  FileDescriptor accepted(accept4(listener.number(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (accepted.number() < 0) return std::nullopt;
  prepare_connection(accepted.number());
  return accepted;
}

void wait_long(const FileDescriptor& socket) {
  const unsigned int forever = 0;
  setsockopt(socket.number(), IPPROTO_TCP, TCP_USER_TIMEOUT, &forever, sizeof(forever));
}

std::string peer_address(const FileDescriptor& socket) {
  sockaddr_storage address{};
  socklen_t length = sizeof(address);
  if (getpeername(socket.number(), reinterpret_cast<sockaddr*>(&address), &length) != 0) return "?";
  return address_text(address, length);
}

std::string own_address(const FileDescriptor& socket) {
  sockaddr_storage address{};
  socklen_t length = sizeof(address);
  if (getsockname(socket.number(), reinterpret_cast<sockaddr*>(&address), &length) != 0) return "?";
  return address_text(address, length);
}

int own_port(const FileDescriptor& socket) {
  sockaddr_storage address{};
  socklen_t length = sizeof(address);
  if (getsockname(socket.number(), reinterpret_cast<sockaddr*>(&address), &length) != 0) return 0;
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(address).sin6_port : reinterpret_cast<sockaddr_in&>(address).sin_port);
}

bool send_frame(const FileDescriptor& socket, const Frame& frame, milliseconds wait) {
  const auto length = static_cast<std::uint32_t>(frame.body.size());
  std::string bytes(kHeaderBytes, '\0');
  std::memcpy(bytes.data(), &length, sizeof(length));
  bytes[4] = static_cast<char>(frame.kind);
  bytes += frame.body;
  const Clock::time_point deadline = Clock::now() + wait;
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t written = ::send(socket.number(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (written > 0) {
      sent += static_cast<std::size_t>(written);
    } else if (written < 0 && errno == EINTR) {
      continue;
    } else if (written < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      const milliseconds left = left_until(deadline);
      if (left.count() <= 0) return false;
      poll_one(socket.number(), POLLOUT, left);
    } else {
      return false;
    }
  }
  return true;
}

FrameReader::State FrameReader::read_from(const FileDescriptor& socket) {
  std::array<char, 65536> piece;
  // What is there may be more than a frame; next() sees to it first.
  while (bytes_.size() <= kHeaderBytes + longest_) {
    const ssize_t count = ::recv(socket.number(), piece.data(), piece.size(), 0);
    if (count > 0) {
      bytes_.append(piece.data(), static_cast<std::size_t>(count));
    } else if (count == 0) {
      return State::kClosed;
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return State::kOpen;
    } else if (errno != EINTR) {
      return State::kClosed;
    }
  }
  return State::kOpen;
}

std::optional<Frame> FrameReader::next() {
  if (bytes_.size() < kHeaderBytes) return std::nullopt;
  std::uint32_t length = 0;
  std::memcpy(&length, bytes_.data(), sizeof(length));
  const auto kind = static_cast<std::uint8_t>(bytes_[4]);
  if (length > longest_ || kind < static_cast<std::uint8_t>(Frame::Kind::kHello) || kind > static_cast<std::uint8_t>(Frame::Kind::kGoodbye)) {
    throw FrameError("does not speak as ranks of rechost do");
  }
  if (bytes_.size() < kHeaderBytes + length) return std::nullopt;
  Frame frame{static_cast<Frame::Kind>(kind), bytes_.substr(kHeaderBytes, length)};
  bytes_.erase(0, kHeaderBytes + length);
  return frame;
}

std::optional<Frame> receive_frame(const FileDescriptor& socket, FrameReader& reader, milliseconds wait) {
  const Clock::time_point deadline = Clock::now() + wait;
  for (;;) {
    if (auto frame = reader.next()) return frame;
    const milliseconds left = left_until(deadline);
    if (left.count() <= 0 || poll_one(socket.number(), POLLIN, left) <= 0) return std::nullopt;
    if (reader.read_from(socket) == FrameReader::State::kClosed) return reader.next();
  }
}

}  // namespace rechost
