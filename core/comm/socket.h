#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"

namespace rechost {

/// TCP between the processes of a job. Errors are CommError, with host and port.

struct Endpoint {
  std::string host;  ///< name, IPv4 or IPv6 address
  int port = 0;
  std::string text() const;
};

/// A name that nobody knows, or not yet.
class LookupError : public CommError {
 public:
  using CommError::CommError;
};

/// Listens on `endpoint.port` of the interface that `endpoint.host` is an address of; "" is every interface. Nothing when the port is taken. LookupError;
/// CommError when no interface has that address.
std::optional<FileDescriptor> listen_on(const Endpoint& endpoint);

/// One try of at most `wait`; nothing when nobody listens there, or the name cannot be looked up yet; `why`, if given, says which.
std::optional<FileDescriptor> connect_to(const Endpoint& endpoint, std::chrono::milliseconds wait, std::string* why = nullptr);

/// The next connection, or nothing after `wait`.
std::optional<FileDescriptor> accept_from(const FileDescriptor& listener, std::chrono::milliseconds wait);

/// For data: the other end may take nothing for as long as it is busy with something else.
void wait_long(const FileDescriptor& socket);

/// "10.0.0.7": the other end's, or this end's address.
std::string peer_address(const FileDescriptor& socket);
std::string own_address(const FileDescriptor& socket);
/// This end's port.
int own_port(const FileDescriptor& socket);

/// A message with its length before it.
struct Frame {
  enum class Kind : std::uint8_t { kHello = 1, kChallenge, kIdentity, kWelcome, kRefused, kStart, kHeartbeat, kPacket, kFailure, kGoodbye };
  Kind kind = Kind::kHeartbeat;
  std::string body;
};

/// The other end of a connection speaks something else.
class FrameError : public CommError {
 public:
  using CommError::CommError;
};

inline constexpr std::uint32_t kLongestBody = std::uint32_t{1} << 28;

/// Sends all of it, waiting at most `wait` for the other side to take it. False: the connection is broken or stuck.
bool send_frame(const FileDescriptor& socket, const Frame& frame, std::chrono::milliseconds wait);

/// Collects bytes of a connection until a frame is whole.
class FrameReader {
 public:
  enum class State { kOpen, kClosed };
  /// `longest`: body that a frame may have; a stranger is not given as much memory as a rank.
  explicit FrameReader(std::uint32_t longest = kLongestBody) : longest_(longest) {}
  void allow(std::uint32_t longest) { longest_ = longest; }
  /// Reads what has arrived, without waiting.
  State read_from(const FileDescriptor& socket);
  /// The next whole frame, if there is one. FrameError for a length that no frame has.
  std::optional<Frame> next();

 private:
  std::uint32_t longest_;
  std::string bytes_;
};

/// One frame within `wait`, or nothing when it does not come or the connection ends.
std::optional<Frame> receive_frame(const FileDescriptor& socket, FrameReader& reader, std::chrono::milliseconds wait);

}  // namespace rechost
