#include "comm/job.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <span>
#include <thread>
#include <utility>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/error.h"
#include "base/hexadecimal.h"
#include "base/json.h"
#include "base/log.h"
#include "comm/doorkeeper.h"

namespace rechost {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kHeartbeat{1000};
constexpr milliseconds kSendWait{5000};
constexpr milliseconds kHandshakeWait{10'000};  ///< for what rank 0 says to a rank that has proved itself
constexpr milliseconds kPatience{10'000};  ///< with rank 0, before a rank says that it waits
constexpr milliseconds kStranded{8'000};  ///< alone at an address that the others were not told, before rank 0 gives up
constexpr milliseconds kFirstAnswer{500};
constexpr milliseconds kFirstPause{50};
constexpr milliseconds kLongestPause{1000};

/// The other end of a connection, as the watching thread knows it.
struct Peer {
  int rank = -1;
  std::string host;
  FileDescriptor socket;
  FrameReader reader;
  Clock::time_point last_heard = Clock::now();
  bool gone = false;  ///< has said goodbye, or is lost
};

std::string name_of(const Peer& peer) { return fmt::format("rank {} on host {}", peer.rank, peer.host); }

/// Names and texts of all ranks in one body.
std::string pack(const std::vector<std::string>& texts) {
  Json list = Json::array();
  // Packets are bytes; JSON holds text.
  for (const std::string& text : texts) list.push_back(hexadecimal(text));
  return json_line(list);
}

std::vector<std::string> unpack(const std::string& body) {
  std::vector<std::string> texts;
  for (const Json& entry : parse_json(body, "packets of the ranks")) {
    const std::string digits = entry.get<std::string>();
    std::string text;
    for (std::size_t i = 0; i + 1 < digits.size(); i += 2) text += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
    texts.push_back(std::move(text));
  }
  return texts;
}

std::string list_ranks(const std::vector<int>& ranks) {
  constexpr std::size_t kMost = 16;
  std::string text = fmt::format("{}", fmt::join(ranks.begin(), ranks.begin() + static_cast<std::ptrdiff_t>(std::min(kMost, ranks.size())), ", "));
  if (ranks.size() > kMost) text += fmt::format(" and {} more", ranks.size() - kMost);
  return text;
}

/// A job of several processes. Rank 0 has a peer for each other rank, the others have rank 0.
class ProcessJob final : public Job {
 public:
  explicit ProcessJob(JobSettings settings) : settings_(std::move(settings)), wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    packets_.resize(static_cast<std::size_t>(settings_.world_size));
    if (settings_.rank == 0) {
      gather_ranks();
    } else {
      reach_rank_zero();
    }
    watcher_ = std::thread([this] { watch(); });
  }

  ~ProcessJob() override {
    {
      const std::lock_guard lock(mutex_);
      leaving_ = true;
      for (Peer& peer : peers_) {
        if (!peer.gone) send_frame(peer.socket, {Frame::Kind::kGoodbye, ""}, kSendWait);
      }
    }
    wake();
    watcher_.join();
  }

  std::vector<std::string> exchange(std::string_view own) override {
    std::unique_lock lock(mutex_);
    const auto check = [&] {
      if (failure_) throw CommError(*failure_);
    };
    check();
    if (settings_.rank != 0) {
      send(peers_.front(), {Frame::Kind::kPacket, std::string(own)});
      changed_.wait(lock, [&] { return failure_.has_value() || !answers_.empty() || peers_.front().gone; });
      if (answers_.empty()) check();
      if (answers_.empty()) rechost::fail<CommError>("{} has left", name_of(peers_.front()));
      const std::vector<std::string> texts = unpack(answers_.front());
      answers_.pop_front();
      return texts;
    }
    packets_[0].emplace_back(own);
    const auto complete = [&] { return std::none_of(packets_.begin(), packets_.end(), [](const auto& queue) { return queue.empty(); }); };
    const auto left = [&] {
      return std::find_if(peers_.begin(), peers_.end(),
                          [&](const Peer& peer) { return peer.gone && packets_[static_cast<std::size_t>(peer.rank)].empty(); });
    };
    changed_.wait(lock, [&] { return failure_.has_value() || complete() || left() != peers_.end(); });
    check();
    if (!complete()) rechost::fail<CommError>("{} has left", name_of(*left()));
    std::vector<std::string> texts;
    for (auto& queue : packets_) {
      texts.push_back(std::move(queue.front()));
      queue.pop_front();
    }
    const std::string body = pack(texts);
    for (Peer& peer : peers_) send(peer, {Frame::Kind::kPacket, body});
    return texts;
  }

  void on_failure(std::function<void(const std::string&)> call) override {
    const std::lock_guard lock(mutex_);
    call_ = std::move(call);
    wake();
  }

  std::optional<std::string> failure(milliseconds wait) override {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, wait, [&] { return failure_.has_value(); });
    return failure_;
  }

  void fail(std::string_view why) override {
    const std::lock_guard lock(mutex_);
    if (over_) return;
    over_ = true;
    const std::string text = fmt::format("rank {} on host {} failed: {}", settings_.rank, settings_.host, why);
    tell_others(text, -1);
  }

  std::string address() const override { return address_; }

 private:
  // ---- the start: no other thread yet ----

  /// Who this rank says it is; its proof covers these very bytes.
  std::string statement() const {
    Json statement = Json::object();
    statement["rank"] = settings_.rank;
    statement["world_size"] = settings_.world_size;
    statement["program"] = settings_.program;
    statement["host"] = settings_.host;
    return json_line(statement);
  }

  /// On the interface that the others are told, where it is one of this machine: behind an address translation it is not, and a name may be known
  /// to others first.
  std::optional<FileDescriptor> listen_at(const Endpoint& endpoint) {
    try {
      return listen_on(endpoint);
    } catch (const LookupError& error) {
      log_warning("rank 0 listens on all interfaces: {}", error.what());
    } catch (const CommError&) {
      foreign_ = endpoint.host;
    }
    return listen_on({"", endpoint.port});
  }

  /// Nobody has come to rank 0, which is not at the address that they were told, as far as this machine knows.
  void require_way_here(int port) {
    std::string why;
    const Endpoint told{std::exchange(foreign_, ""), port};
    if (connect_to(told, kLongestPause, &why)) {
      log_warning("rank 0 still waits: no rank has come, and {} is no address of this machine, but something answers there", told.text());
      return;
    }
    rechost::fail<CommError>("rank 0 is not where the others look for it: {} is no address of host {}, {} gives \"{}\", and no rank has come within {} s. Set "
                             "MASTER_ADDR to an address of the machine of rank 0",
                             told.host, settings_.host, told.text(), why, kStranded.count() / 1000);
  }

  void open_listener() {
    if (settings_.listener) return;
    std::string tried;
    for (const Endpoint& endpoint : settings_.meeting) {
      if (auto listener = listen_at(endpoint)) {
        settings_.listener = std::move(*listener);
        return;
      }
      tried += (tried.empty() ? "" : ", ") + std::to_string(endpoint.port);
    }
    rechost::fail<CommError>("rank 0 cannot listen: the ports {} are all in use; choose one with RECHOST_MASTER_PORT or MASTER_PORT", tried);
  }

  void gather_ranks() {
    open_listener();
    Doorkeeper doorkeeper(std::move(settings_.listener), settings_.token, "rank 0");
    const Clock::time_point deadline = Clock::now() + settings_.join_within;
    std::vector<bool> here(static_cast<std::size_t>(settings_.world_size), false);
    here[0] = true;
    while (peers_.size() + 1 < here.size()) {
      const auto left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now());
      if (left.count() <= 0) give_up(here, fmt::format("within {} s", settings_.join_within.count() / 1000), doorkeeper.port());
      if (stopped()) give_up(here, "when rank 0 was asked to stop", doorkeeper.port());
      if (!foreign_.empty() && peers_.empty() && left <= settings_.join_within - kStranded) require_way_here(doorkeeper.port());
      std::vector<pollfd> waiting;
      for (const Peer& peer : peers_) waiting.push_back({.fd = peer.socket.number(), .events = POLLIN, .revents = 0});
      doorkeeper.add_to(waiting);
      poll(waiting.data(), waiting.size(), static_cast<int>(std::min(left, kHeartbeat).count()));
      // One that has come may go while others are awaited.
      const std::size_t come = peers_.size();
      watch_peers(std::span(waiting).first(come));
      if (failure_) throw CommError(failure_before_start());
      for (Guest& guest : doorkeeper.hear(std::span(waiting).subspan(come))) admit(std::move(guest), here);
    }
    std::sort(peers_.begin(), peers_.end(), [](const Peer& a, const Peer& b) { return a.rank < b.rank; });
    for (Peer& peer : peers_) {
      peer.last_heard = Clock::now();
      send(peer, {Frame::Kind::kStart, ""});
    }
    address_ = peers_.empty() ? "127.0.0.1" : own_address(peers_.front().socket);
  }

  std::string failure_before_start() const { return *failure_ + (failed_by_word_ ? "" : ", before all ranks had come"); }

  bool stopped() const { return settings_.stop != nullptr && settings_.stop->load(); }

  /// `when` it was clear that no more will come.
  [[noreturn]] void give_up(const std::vector<bool>& here, const std::string& when, int port) {
    std::vector<int> missing;
    for (std::size_t rank = 0; rank < here.size(); ++rank) {
      if (!here[rank]) missing.push_back(static_cast<int>(rank));
    }
    const std::string text = fmt::format("of {} ranks these had not come {}: {}. Look at their logs; they must reach {}, port {} (set MASTER_ADDR "
                                         "and MASTER_PORT), and have comm.join_seconds = {} to do so", here.size(), when, list_ranks(missing),
                                         settings_.host, port, settings_.join_within.count() / 1000);
    tell_others(text, -1);
    throw CommError(text);
  }

  /// Refused with the reason, here and there, when it is a rank of this job that does not fit.
  void admit(Guest guest, std::vector<bool>& here) {
    Peer peer;
    peer.socket = std::move(guest.socket);
    peer.reader = std::move(guest.reader);
    const Json theirs = parse_json(guest.statement, "who a rank says it is");
    peer.rank = theirs.at("rank").get<int>();
    peer.host = theirs.at("host").get<std::string>();
    const std::string problem = problem_with(theirs, peer, here);
    if (!problem.empty()) {
      send_frame(peer.socket, {Frame::Kind::kRefused, problem}, kSendWait);
      tell_others(problem, -1);
      throw CommError(problem);
    }
    here[static_cast<std::size_t>(peer.rank)] = true;
    send(peer, {Frame::Kind::kWelcome, settings_.host});
    peers_.push_back(std::move(peer));
  }

  std::string problem_with(const Json& theirs, const Peer& peer, const std::vector<bool>& here) const {
    const auto world_size = theirs.value("world_size", 0);
    const auto program = theirs.value("program", "");
    if (world_size != settings_.world_size) {
      return fmt::format("rank {} on host {} believes in {} ranks, rank 0 in {}: start all with one command", peer.rank, peer.host, world_size,
                         settings_.world_size);
    }
    if (peer.rank < 1 || peer.rank >= settings_.world_size) {
      return fmt::format("a process on host {} calls itself rank {}; the ranks are 0 to {}", peer.host, peer.rank, settings_.world_size - 1);
    }
    if (here[static_cast<std::size_t>(peer.rank)]) return fmt::format("two processes call themselves rank {}; the second is on host {}", peer.rank, peer.host);
    if (program != settings_.program) {
      return fmt::format("rank {} on host {} runs rechost {}, rank 0 runs {}: install one version", peer.rank, peer.host, program, settings_.program);
    }
    return "";
  }

  void reach_rank_zero() {
    const Clock::time_point deadline = Clock::now() + settings_.join_within;
    milliseconds pause = kFirstPause;
    // Somebody else may have the first ports, and say nothing; rank 0 answers at once, unless its machine is very busy.
    milliseconds patience = kFirstAnswer;
    bool said = false;
    for (;;) {
      for (const Endpoint& endpoint : settings_.meeting) {
        if (knock(endpoint, deadline, patience)) return;
        if (Clock::now() >= deadline || stopped()) break;
      }
      if (stopped()) rechost::fail<CommError>("rank {} was asked to stop before it had reached rank 0 at {}", settings_.rank, meeting_text());
      if (Clock::now() >= deadline) {
        const std::string other = impostor_.empty() ? fmt::format("{}. Is rank 0 running, and is the address right? Set MASTER_ADDR to the machine "
                                                                  "of rank 0; comm.join_seconds is the time it may take", silence_)
                                                    : fmt::format("at {} is rank 0 of another job, or of this one with another secret", impostor_);
        rechost::fail<CommError>("rank {} cannot reach rank 0 within {} s at {}: {}", settings_.rank, settings_.join_within.count() / 1000,
                                 meeting_text(), other);
      }
      if (!said && Clock::now() >= deadline - settings_.join_within + kPatience) {
        said = true;
        log_warning("rank {} still looks for rank 0 at {}: {}; if the address is wrong, set MASTER_ADDR", settings_.rank, meeting_text(), silence_);
      }
      patience = std::min(patience * 2, kHandshakeWait);
      std::this_thread::sleep_for(pause);
      pause = std::min(pause * 2, kLongestPause);
    }
  }

  /// Where rank 0 is looked for.
  std::string meeting_text() const {
    const std::size_t more = settings_.meeting.size() - 1;
    return settings_.meeting.front().text() + (more == 0 ? "" : fmt::format(" and {} more ports", more));
  }

  /// Whether this is rank 0 of this job and all ranks have come.
  bool knock(const Endpoint& endpoint, Clock::time_point deadline, milliseconds patience) {
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now());
    auto socket = connect_to(endpoint, std::min(left, kLongestPause), &silence_);
    if (!socket) return false;
    silence_ = "what listens there is not rank 0 of a job";
    Peer peer;
    peer.rank = 0;
    peer.host = endpoint.host;
    peer.socket = std::move(*socket);
    const Welcome welcome = introduce(peer.socket, peer.reader, settings_.token, statement(), patience);
    if (welcome == Welcome::kOtherJob) impostor_ = endpoint.text();
    if (welcome != Welcome::kProved) return false;
    const std::optional<Frame> frame = receive_frame(peer.socket, peer.reader, kHandshakeWait);
    if (!frame) return false;
    if (frame->kind == Frame::Kind::kRefused) throw CommError(frame->body);
    if (frame->kind != Frame::Kind::kWelcome) return false;
    peer.host = frame->body;
    address_ = own_address(peer.socket);
    peers_.push_back(std::move(peer));
    // Others may come much later than this rank.
    while (!started_) {
      if (stopped()) {
        const std::string text = fmt::format("rank {} on host {} was asked to stop before all ranks had come", settings_.rank, settings_.host);
        tell_others(text, -1);
        throw CommError(text);
      }
      pollfd waiting{.fd = peers_.front().socket.number(), .events = POLLIN, .revents = 0};
      poll(&waiting, 1, static_cast<int>(kHeartbeat.count()));
      watch_peers(std::span(&waiting, 1));
      if (failure_) throw CommError(failure_before_start());
      if (peers_.front().gone) rechost::fail<CommError>("{} has left before all ranks had come", name_of(peers_.front()));
    }
    return true;
  }

  // ---- after the start: mutex_ held ----

  void send(Peer& peer, const Frame& frame) {
    if (!peer.gone && !send_frame(peer.socket, frame, kSendWait)) lose(peer, "does not take what is sent to it");
  }

  void tell_others(const std::string& text, int but) {
    for (Peer& peer : peers_) {
      if (!peer.gone && peer.rank != but) send_frame(peer.socket, {Frame::Kind::kFailure, text}, kSendWait);
    }
  }

  void lose(Peer& peer, std::string_view how) {
    peer.gone = true;
    const std::string text = fmt::format("{} {}", name_of(peer), how);
    // It may hear although it is not heard.
    if (settings_.rank == 0 && !over_) send_frame(peer.socket, {Frame::Kind::kFailure, failure_.value_or(text)}, milliseconds(0));
    set_failure(text, peer.rank);
  }

  void set_failure(const std::string& text, int from) {
    if (failure_ || over_) return;
    failure_ = text;
    if (settings_.rank == 0) tell_others(text, from);
    changed_.notify_all();
  }

  void take(Peer& peer, Frame&& frame) {
    switch (frame.kind) {
      case Frame::Kind::kPacket:
        if (settings_.rank == 0) {
          packets_[static_cast<std::size_t>(peer.rank)].push_back(std::move(frame.body));
        } else {
          answers_.push_back(std::move(frame.body));
        }
        changed_.notify_all();
        break;
      case Frame::Kind::kFailure:
        failed_by_word_ = !failure_.has_value();
        set_failure(frame.body, peer.rank);
        break;
      case Frame::Kind::kStart:
        started_ = true;
        break;
      case Frame::Kind::kGoodbye:
        peer.gone = true;
        changed_.notify_all();
        break;
      default:
        break;
    }
  }

  void listen_to(Peer& peer) {
    const FrameReader::State state = peer.reader.read_from(peer.socket);
    try {
      while (auto frame = peer.reader.next()) {
        peer.last_heard = Clock::now();
        take(peer, std::move(*frame));
      }
    } catch (const FrameError& error) {
      lose(peer, error.what());
    }
    if (state == FrameReader::State::kClosed && !peer.gone) lose(peer, "was lost: its connection has ended");
  }

  /// Hears those of the first peers that have said something, loses those that are silent, and lets all know that this process lives.
  void watch_peers(std::span<const pollfd> heard) {
    const Clock::time_point now = Clock::now();
    // This process itself was stopped: what the others said meanwhile is still to be read.
    const bool slept = now - watched_ > 2 * kHeartbeat;
    watched_ = now;
    for (std::size_t i = 0; i < heard.size(); ++i) {
      Peer& peer = peers_[i];
      if (peer.gone) continue;
      if (slept) peer.last_heard = now;
      if (heard[i].revents != 0) listen_to(peer);
      if (!peer.gone && now - peer.last_heard > settings_.lost_after) {
        lose(peer, fmt::format("was lost: nothing heard of it for {} s", settings_.lost_after.count() / 1000));
      }
    }
    if (now < beat_) return;
    for (Peer& peer : peers_) {
      if (!over_) send(peer, {Frame::Kind::kHeartbeat, ""});
    }
    beat_ = now + kHeartbeat;
  }

  // ---- the watching thread ----

  void wake() {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = write(wake_.number(), &one, sizeof(one));
  }

  void watch() {
    bool called = false;
    for (;;) {
      std::vector<pollfd> waiting{{.fd = wake_.number(), .events = POLLIN, .revents = 0}};
      std::function<void(const std::string&)> call;
      std::string what;
      {
        const std::lock_guard lock(mutex_);
        if (leaving_) return;
        for (const Peer& peer : peers_) {
          // A negative number is passed over.
          waiting.push_back({.fd = peer.gone ? -1 : peer.socket.number(), .events = POLLIN, .revents = 0});
        }
        if (failure_ && !called && call_) {
          called = true;
          call = call_;
          what = *failure_;
        }
      }
      if (call) call(what);
      const auto left = std::chrono::duration_cast<milliseconds>(beat_ - Clock::now());
      poll(waiting.data(), waiting.size(), static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
      if (waiting[0].revents != 0) {
        std::uint64_t count = 0;
        [[maybe_unused]] const auto taken = read(wake_.number(), &count, sizeof(count));
      }
      const std::lock_guard lock(mutex_);
      watch_peers(std::span(waiting).subspan(1));
    }
  }

  JobSettings settings_;
  std::string address_;
  std::string foreign_;   ///< of rank 0: the host that the others are told, where no interface of this machine has its address
  std::string impostor_;  ///< where something answered that is not this job's rank 0
  std::string silence_;   ///< why the last endpoint was of no use
  bool started_ = false;  ///< rank 0 has said that all have come
  Clock::time_point watched_ = Clock::now();  ///< when the peers were last looked at
  Clock::time_point beat_ = Clock::now();     ///< when the next heartbeat is due; the watching thread's once there is one
  FileDescriptor wake_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Peer> peers_;
  std::vector<std::deque<std::string>> packets_;  ///< rank 0: by rank, what is not yet answered
  std::deque<std::string> answers_;               ///< others: of rank 0
  std::optional<std::string> failure_;
  bool failed_by_word_ = false;  ///< a peer has said so, and not only gone
  std::function<void(const std::string&)> call_;
  bool over_ = false;     ///< this rank has told the others that it fails
  bool leaving_ = false;
  std::thread watcher_;
};

}  // namespace

std::unique_ptr<Job> Job::join(JobSettings settings) { return std::make_unique<ProcessJob>(std::move(settings)); }

}  // namespace rechost
