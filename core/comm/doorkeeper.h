#pragma once

#include <chrono>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <poll.h>

#include "base/file.h"
#include "comm/handshake.h"
#include "comm/socket.h"

namespace rechost {

/// A connection whose other end has proved that it belongs to the job.
struct Guest {
  FileDescriptor socket;
  FrameReader reader;     ///< may hold more than has been heard so far
  std::string address;
  std::string statement;  ///< what it says of itself
};

/// Lets in the ranks of one job and nobody else. Whoever connects is heard, and nobody is waited for: scanners, garbage and what was heard on
/// the network before keep no rank from coming. Who does not prove itself in time is sent away and told in the log. One thread.
class Doorkeeper {
 public:
  /// `key`: what only the ranks of the job know. `door`: what is let in there, for the log.
  Doorkeeper(FileDescriptor listener, std::string key, std::string door);

  int port() const { return own_port(listener_); }
  /// What poll() is to wait for, behind what is there already.
  void add_to(std::vector<pollfd>& waiting) const;
  /// With what add_to() has added, after poll(): those who have proved themselves since.
  std::vector<Guest> hear(std::span<const pollfd> waited);

 private:
  using Clock = std::chrono::steady_clock;

  /// Somebody who has connected and has not shown yet that it is a rank of this job.
  struct Stranger {
    Guest guest;
    Clock::time_point until;
    Nonces nonces;
    bool proved = false;
  };

  void hear(Stranger& stranger);
  void send_away(Stranger& stranger, std::string_view why);
  void open();

  FileDescriptor listener_;
  std::string key_;
  std::string door_;
  std::vector<Stranger> strangers_;
  int sent_away_ = 0;
};

enum class Welcome {
  kProved,    ///< what comes on this connection from now on is of a rank of the job, which has been sent the statement
  kNobody,    ///< who listens there does not speak as ranks do, or not in time
  kOtherJob,  ///< it does, but does not know the key
};

/// The other side of the door: shows it that this process is of the job, and has it show the same, for which it gets so much time.
Welcome introduce(const FileDescriptor& socket, FrameReader& reader, std::string_view key, const std::string& statement,
                  std::chrono::milliseconds wait);

}  // namespace rechost
