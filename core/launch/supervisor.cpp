#include "launch/supervisor.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <set>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"

namespace rechost {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kUsage = 2;
constexpr int kStopped = 75;
constexpr int kPeerLost = 76;
constexpr int kBadConfig = 78;
/// Peers of a failed process learn of it, write why and end by themselves. Those that still look for it have to be asked, and end within
/// a second. All this takes less than ten.
constexpr std::chrono::seconds kPatience{3};
constexpr std::chrono::seconds kTimeToEnd{5};
/// Ranks that have met find out sooner that one of them is stopped; those that still wait for it cannot.
constexpr std::chrono::milliseconds kLongestStop{7'500};
constexpr std::chrono::milliseconds kBetweenLooks{500};

struct Process {
  int rank = 0;
  pid_t pid = -1;
  FileDescriptor errors;  ///< the end that this process reads
  std::string line;       ///< begun, not ended
  bool running = false;
  bool killed = false;    ///< by this process
  Clock::time_point ran;  ///< when it was last seen not to be stopped
};

/// A socket on a free port of the loopback interface.
FileDescriptor listen_on_loopback(int& port) {
  FileDescriptor listener(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));  // not close-on-exec: rank 0 inherits it
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  if (bind(listener.number(), reinterpret_cast<sockaddr*>(&address), length) != 0 || ::listen(listener.number(), 1024) != 0 ||
      getsockname(listener.number(), reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    fail<CommError>("cannot listen on the loopback interface: {}", std::strerror(errno));
  }
  port = ntohs(address.sin_port);
  return listener;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> list;
  for (std::string& text : texts) list.push_back(text.data());
  list.push_back(nullptr);
  return list;
}

/// Whether the process is stopped, by SIGSTOP or a terminal: it can do nothing, not even end when asked.
bool is_stopped(pid_t pid) {
  std::string state;
  try {
    state = read_file(fmt::format("/proc/{}/stat", pid));
  } catch (const Error&) {
    return false;
  }
  // After the name in parentheses, which may hold anything.
  const std::size_t name_end = state.rfind(')');
  return name_end != std::string::npos && state.compare(name_end, 3, ") T") == 0;
}

/// The processes from one start to their end.
class Supervisor {
 public:
  explicit Supervisor(const SupervisorSettings& settings) : settings_(settings), token_(settings.token) {
    if (settings_.world_size > settings_.processes) return;
    listener_ = listen_on_loopback(port_);
    token_ = random_token();
  }

  SupervisorResult run() {
    processes_.resize(static_cast<std::size_t>(settings_.processes));
    for (int local_rank = 0; local_rank < settings_.processes; ++local_rank) start(local_rank);
    listener_ = FileDescriptor();
    while (std::any_of(processes_.begin(), processes_.end(), [](const Process& process) { return process.running; })) {
      pass_lines();
      pass_signal();
      collect();
      look_for_stopped();
      hurry();
    }
    for (Process& process : processes_) drain(process);
    return {code_, killed_};
  }

 private:
  void start(int local_rank) {
    Process& process = processes_[static_cast<std::size_t>(local_rank)];
    process.rank = settings_.first_rank + local_rank;
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) fail<Error>("cannot make a pipe: {}", std::strerror(errno));
    process.errors = FileDescriptor(ends[0]);
    const FileDescriptor child_end(ends[1]);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);

    std::vector<std::string> arguments{settings_.program.string()};
    arguments.insert(arguments.end(), settings_.arguments.begin(), settings_.arguments.end());
    std::vector<std::string> environment = environment_of(local_rank);
    const std::vector<char*> argument_list = pointers(arguments);
    const std::vector<char*> environment_list = pointers(environment);
    const pid_t parent = getpid();
    process.pid = fork();
    if (process.pid < 0) fail<Error>("cannot start a process: {}", std::strerror(errno));
    if (process.pid == 0) {
      // Only calls that are safe after fork from here on.
      setpgid(0, 0);  // Ctrl-C reaches this process alone, which hands it on once
      prctl(PR_SET_PDEATHSIG, SIGTERM);
      if (getppid() != parent) _exit(kPeerLost);
      dup2(child_end.number(), STDERR_FILENO);
      if (process.rank != 0) {
        dup2(STDERR_FILENO, STDOUT_FILENO);
        if (listener_) close(listener_.number());
      }
      execve(argument_list[0], argument_list.data(), environment_list.data());
      _exit(127);
    }
    setpgid(process.pid, process.pid);
    process.running = true;
  }

  std::vector<std::string> environment_of(int local_rank) const {
    std::vector<std::string> environment = settings_.environment;
    const auto set = [&](const std::string& name, const std::string& value) {
      const auto same = [&](const std::string& entry) { return entry.rfind(name + "=", 0) == 0; };
      environment.erase(std::remove_if(environment.begin(), environment.end(), same), environment.end());
      environment.push_back(name + "=" + value);
    };
    set("RECHOST_RANK", std::to_string(settings_.first_rank + local_rank));
    set("RECHOST_WORLD_SIZE", std::to_string(settings_.world_size));
    set("RECHOST_LOCAL_RANK", std::to_string(local_rank));
    set("RECHOST_LOCAL_WORLD_SIZE", std::to_string(settings_.processes));
    set("RECHOST_MASTER_ADDR", listener_ ? "127.0.0.1" : settings_.host);
    set("RECHOST_MASTER_PORT", std::to_string(listener_ ? port_ : settings_.port));
    set("RECHOST_JOB_TOKEN", token_);
    if (listener_ && local_rank == 0) set("RECHOST_LISTENER", std::to_string(listener_.number()));
    return environment;
  }

  void write_line(const Process& process, const std::string& line) {
    // All ranks read the same configuration and data, and find the same wrong with them. Which of them lost another is of interest for each.
    if (line.starts_with("error: ") && !line.starts_with("error: rank ") && !errors_.insert(line).second) return;

    const std::string text = fmt::format("[{}] {}\n", process.rank, line);
    std::fwrite(text.data(), 1, text.size(), stderr);
  }

  /// Writes whole lines as they come.
  void read_lines(Process& process) {
    std::array<char, 16384> piece;
    for (;;) {
      const ssize_t count = read(process.errors.number(), piece.data(), piece.size());
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) {
        if (count == 0) process.errors = FileDescriptor();
        return;
      }
      process.line.append(piece.data(), static_cast<std::size_t>(count));
      for (std::size_t end = process.line.find('\n'); end != std::string::npos; end = process.line.find('\n')) {
        write_line(process, process.line.substr(0, end));
        process.line.erase(0, end + 1);
      }
    }
  }

  void drain(Process& process) {
    if (process.errors) read_lines(process);
    if (!process.line.empty()) write_line(process, process.line);
    process.line.clear();
  }

  void pass_lines() {
    constexpr int kLookAgain_ms = 100;
    std::vector<pollfd> waiting;
    for (const Process& process : processes_) {
      waiting.push_back({.fd = process.errors ? process.errors.number() : -1, .events = POLLIN, .revents = 0});
    }
    poll(waiting.data(), waiting.size(), kLookAgain_ms);
    for (std::size_t i = 0; i < processes_.size(); ++i) {
      if (waiting[i].revents != 0) read_lines(processes_[i]);
    }
  }

  void signal_all(int number) {
    for (const Process& process : processes_) {
      if (process.running) kill(process.pid, number);
    }
  }

  void pass_signal() {
    const int number = settings_.signal == nullptr ? 0 : settings_.signal->load();
    if (number == 0 || number == passed_signal_) return;
    passed_signal_ = number;
    signal_all(number & 0xff);
  }

  void collect() {
    for (Process& process : processes_) {
      if (!process.running) continue;
      int status = 0;
      const pid_t ended = waitpid(process.pid, &status, WNOHANG);
      if (ended != process.pid) continue;
      process.running = false;
      drain(process);
      const bool killed = WIFSIGNALED(status);
      const int code = killed ? kPeerLost : WEXITSTATUS(status);
      if (code == 0) continue;
      std::string how;
      if (killed) {
        how = fmt::format("rank {} (process {}) was ended by signal {} ({})", process.rank, process.pid, WTERMSIG(status), strsignal(WTERMSIG(status)));
        log_warning("{}", how);
      }
      const bool first = code_ == 0 || code_ == kStopped;
      // Others hear of a failure at once and may end before the rank that failed: it tells more than that they lost it.
      const bool cause = code_ == kPeerLost && killed_.empty() && code != kStopped && !asked_ && !process.killed;
      if (first) first_failure_ = Clock::now();
      if (first || cause) {
        code_ = code;
        killed_ = how;
      }
    }
  }

  /// One that is stopped while others run would keep them waiting: nobody else knows of a process that has not met the others yet.
  void look_for_stopped() {
    const Clock::time_point now = Clock::now();
    if (code_ != 0 || now - looked_ < kBetweenLooks) return;
    const bool slept = now - looked_ > 4 * kBetweenLooks;  // this process was stopped with them
    looked_ = now;
    bool all = true;  // by somebody who will let them go on; but one that is left behind when others have ended is alone
    for (Process& process : processes_) {
      all = all && process.running;
      if (!process.running) continue;
      const bool stopped = is_stopped(process.pid);
      if (!stopped || slept) process.ran = now;
      all = all && stopped;
    }
    for (Process& process : processes_) {
      if (all || !process.running || process.killed || now - process.ran < kLongestStop) continue;
      log_warning("rank {} (process {}) is stopped while others wait for it: it is killed", process.rank, process.pid);
      process.killed = kill(process.pid, SIGKILL) == 0;
      asked_ = true;
      for (const Process& other : processes_) {
        if (other.running && !other.killed) kill(other.pid, SIGTERM);
      }
    }
  }

  /// What does not end by itself after a failure is ended. Ranks that stop with a checkpoint stop together, and rank 0 has more to write.
  void hurry() {
    if (code_ == 0 || code_ == kStopped) return;
    const auto since = Clock::now() - first_failure_;
    for (Process& process : processes_) {
      if (!process.running || process.killed || !is_stopped(process.pid)) continue;
      log_warning("rank {} (process {}) is stopped and cannot end by itself: it is killed", process.rank, process.pid);
      process.killed = kill(process.pid, SIGKILL) == 0;
    }
    if (since > kPatience && !asked_) {
      asked_ = true;
      signal_all(SIGTERM);
    }
    if (since > kPatience + kTimeToEnd) signal_all(SIGKILL);
  }

  const SupervisorSettings& settings_;
  int port_ = 0;
  FileDescriptor listener_;
  std::string token_;
  std::vector<Process> processes_;
  std::set<std::string> errors_;  ///< that were written
  int code_ = 0;
  std::string killed_;
  int passed_signal_ = 0;
  bool asked_ = false;
  Clock::time_point first_failure_;
  Clock::time_point looked_;
};

}  // namespace

void require_memory(int processes, std::uint64_t memory_bytes) {
  // Of a rank of a small model, for itself alone: 60 to 105 MB were measured, the libraries that ranks share not counted.
  constexpr std::uint64_t kLeast = 60'000'000;
  const std::uint64_t most = memory_bytes / kLeast;
  if (static_cast<std::uint64_t>(processes) <= most) return;
  fail<ConfigError>("{} processes: each takes {} MB and more, and this machine has {:.1f} GB; start at most {}", processes, kLeast / 1'000'000,
                    static_cast<double>(memory_bytes) / 1e9, most);
}

std::string random_token() {
  std::random_device random;
  std::string token;
  for (int i = 0; i < 4; ++i) token += fmt::format("{:08x}", random());
  return token;
}

SupervisorResult supervise(const SupervisorSettings& settings) {
  for (int restart = 0;; ++restart) {
    SupervisorResult result = Supervisor(settings).run();
    const bool would_fail_again = result.code == kUsage || result.code == kBadConfig;
    const bool stop = result.code == 0 || result.code == kStopped || would_fail_again || (settings.signal != nullptr && settings.signal->load() != 0);
    if (stop || restart == settings.restarts) return result;
    log_warning("the ranks of this machine ended with {}; start {} of {} more", result.code, restart + 1, settings.restarts);
  }
}

}  // namespace rechost
