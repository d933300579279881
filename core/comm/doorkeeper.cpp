#include "comm/doorkeeper.h"

#include <algorithm>

#include "base/log.h"

namespace rechost {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kHandshakeWait{10'000};
constexpr milliseconds kSendWait{5000};
constexpr std::uint32_t kLongestGreeting = 4096;  ///< bytes that are read from somebody who has proved nothing yet
constexpr std::size_t kMostStrangers = 512;       ///< of those at once; the oldest is let go
constexpr int kStrangersNamed = 8;                ///< in the log
constexpr std::size_t kNonceDigits = 32;
constexpr std::size_t kProofDigits = 64;

/// Nothing from another program.
std::optional<Frame> answer_of(const FileDescriptor& socket, FrameReader& reader, milliseconds wait) {
  try {
    return receive_frame(socket, reader, wait);
  } catch (const FrameError&) {
    return std::nullopt;
  }
}

}  // namespace

Doorkeeper::Doorkeeper(FileDescriptor listener, std::string key, std::string door)
    : listener_(std::move(listener)), key_(std::move(key)), door_(std::move(door)) {}

void Doorkeeper::add_to(std::vector<pollfd>& waiting) const {
  waiting.push_back({.fd = listener_.number(), .events = POLLIN, .revents = 0});
  for (const Stranger& stranger : strangers_) waiting.push_back({.fd = stranger.guest.socket.number(), .events = POLLIN, .revents = 0});
}

std::vector<Guest> Doorkeeper::hear(std::span<const pollfd> waited) {
  std::vector<Guest> proved;
  for (std::size_t i = 0; i < strangers_.size(); ++i) {
    Stranger& stranger = strangers_[i];
    if (waited[i + 1].revents != 0) hear(stranger);
    if (stranger.proved) {
      stranger.guest.reader.allow(kLongestBody);
      proved.push_back(std::move(stranger.guest));
    } else if (stranger.guest.socket && Clock::now() >= stranger.until) {
      send_away(stranger, "has not said in time who it is");
    }
  }
  std::erase_if(strangers_, [](const Stranger& stranger) { return !stranger.guest.socket; });
  if (waited[0].revents != 0) open();
  return proved;
}

void Doorkeeper::open() {
  auto accepted = accept_from(listener_, milliseconds(0));
  if (!accepted) return;
  Stranger stranger;
  stranger.guest.address = peer_address(*accepted);
  stranger.guest.socket = std::move(*accepted);
  stranger.guest.reader = FrameReader(kLongestGreeting);
  stranger.until = Clock::now() + kHandshakeWait;
  strangers_.push_back(std::move(stranger));
  if (strangers_.size() > kMostStrangers) strangers_.erase(strangers_.begin());
}

void Doorkeeper::send_away(Stranger& stranger, std::string_view why) {
  stranger.guest.socket = FileDescriptor();
  // Scanners come by the hundred: some are named.
  if (++sent_away_ <= kStrangersNamed) log_warning("{}: a connection from {} is no rank of this job: it {}", door_, stranger.guest.address, why);
  if (sent_away_ == kStrangersNamed) log_warning("{}: further connections of this kind are not told", door_);
}

/// Takes what a stranger has sent: it has proved itself then, or is sent away, or has not said everything yet.
void Doorkeeper::hear(Stranger& stranger) {
  Guest& guest = stranger.guest;
  const FrameReader::State state = guest.reader.read_from(guest.socket);
  try {
    while (auto frame = guest.reader.next()) {
      if (frame->kind == Frame::Kind::kHello && stranger.nonces.host.empty()) {
        stranger.nonces = {frame->body, random_nonce()};
        const std::string answer = proof(key_, Prover::kHost, stranger.nonces, "");
        if (!send_frame(guest.socket, {Frame::Kind::kChallenge, stranger.nonces.host + answer}, milliseconds(0))) {
          return send_away(stranger, "does not listen");
        }
      } else if (frame->kind == Frame::Kind::kIdentity && !stranger.nonces.host.empty()) {
        const std::size_t digits = std::min(frame->body.size(), kProofDigits);
        guest.statement = frame->body.substr(digits);
        if (!same_proof(frame->body.substr(0, digits), proof(key_, Prover::kGuest, stranger.nonces, guest.statement))) {
          return send_away(stranger, "cannot prove that it is (another job, or another secret)");
        }
        stranger.proved = true;
        return;
      } else {
        return send_away(stranger, "does not follow the protocol");
      }
    }
  } catch (const FrameError& error) {
    return send_away(stranger, error.what());
  }
  if (state == FrameReader::State::kClosed) send_away(stranger, "has gone before it said who it is");
}

Welcome introduce(const FileDescriptor& socket, FrameReader& reader, std::string_view key, const std::string& statement, milliseconds wait) {
  Nonces nonces{random_nonce(), ""};
  if (!send_frame(socket, {Frame::Kind::kHello, nonces.guest}, kSendWait)) return Welcome::kNobody;
  const std::optional<Frame> frame = answer_of(socket, reader, wait);
  if (!frame || frame->kind != Frame::Kind::kChallenge || frame->body.size() != kNonceDigits + kProofDigits) return Welcome::kNobody;
  nonces.host = frame->body.substr(0, kNonceDigits);
  if (!same_proof(frame->body.substr(kNonceDigits), proof(key, Prover::kHost, nonces, ""))) return Welcome::kOtherJob;
  if (!send_frame(socket, {Frame::Kind::kIdentity, proof(key, Prover::kGuest, nonces, statement) + statement}, kSendWait)) return Welcome::kNobody;
  return Welcome::kProved;
}

}  // namespace rechost
