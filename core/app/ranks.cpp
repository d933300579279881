#include "app/ranks.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <vector>

#include <sys/resource.h>
#include <unistd.h>

#include "app/command.h"
#include "app/environment.h"
#include "app/last_word.h"
#include "app/stop_signal.h"
#include "base/checksum.h"
#include "base/error.h"
#include "base/file.h"
#include "base/host.h"
#include "base/log.h"
#include "base/version.h"
#include "comm/job.h"
#include "comm/module.h"
#include "comm/single_communicator.h"

namespace rechost::app {
namespace {

using std::chrono::milliseconds;

/// A broken connection is known at once, the rank that is to blame a little later.
constexpr milliseconds kTimeToBlame{10'000};
/// What a process that others have left may take to write down why.
constexpr milliseconds kTimeToEnd{2'000};
/// Of what goes on beside the steps: a rank may be ahead of others that evaluate for hours. Dead ranks are noticed by the job.
constexpr std::chrono::hours kTimeBesideSteps{24 * 7};

class Alone final : public Ranks {
 public:
  Communicator& communicator() override { return communicator_; }
  Communicator& open_another() override { rechost::fail<Error>("a process alone has nobody to talk to"); }
  void require_same(std::string_view /*what*/, const std::string& /*text*/) override {}
  void fail(std::string_view /*why*/) override {}

 private:
  SingleCommunicator communicator_;
};

/// One to every other rank for each communicator: more than processes may open by default, where there are some hundred ranks.
void allow_connections() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
}

/// Another communicator, whose errors name the rank that is to blame.
class BlamingCommunicator final : public Communicator {
 public:
  BlamingCommunicator(std::unique_ptr<Communicator> inner, Job& job) : inner_(std::move(inner)), job_(job) {}

  int rank() const override { return inner_->rank(); }
  int world_size() const override { return inner_->world_size(); }
  std::string name() const override { return inner_->name(); }
  void all_reduce_sum(std::span<float> values) override {
    guarded("all_reduce_sum", [&] { inner_->all_reduce_sum(values); });
  }
  void reduce_scatter_sum(std::span<const float> values, std::span<const std::int64_t> sizes, std::span<float> own) override {
    guarded("reduce_scatter_sum", [&] { inner_->reduce_scatter_sum(values, sizes, own); });
  }
  void all_to_all(std::span<const std::byte> send, std::span<const std::int64_t> send_bytes, std::span<std::byte> receive,
                  std::span<const std::int64_t> receive_bytes) override {
    guarded("all_to_all", [&] { inner_->all_to_all(send, send_bytes, receive, receive_bytes); });
  }
  void all_to_all_packets(std::span<const std::byte> send, std::span<const std::int64_t> send_bytes,
                          std::vector<std::vector<std::byte>>& received) override {
    guarded("all_to_all_packets", [&] { inner_->all_to_all_packets(send, send_bytes, received); });
  }
  void all_gather(std::span<const std::byte> send, std::span<const std::int64_t> bytes, std::span<std::byte> receive) override {
    guarded("all_gather", [&] { inner_->all_gather(send, bytes, receive); });
  }
  void broadcast(std::span<std::byte> bytes, int root) override {
    guarded("broadcast", [&] { inner_->broadcast(bytes, root); });
  }
  void barrier() override {
    guarded("barrier", [&] { inner_->barrier(); });
  }
  void abort() override {
    aborted_ = true;
    inner_->abort();
  }
  Traffic traffic() const override { return inner_->traffic(); }

 private:
  template <typename Operation>
  void guarded(const char* operation, const Operation& run) {
    try {
      run();
    } catch (const CommError& error) {
      // This process has ended it itself, or knows already why it was to.
      const auto blamed = job_.failure(aborted_ ? milliseconds(0) : kTimeToBlame);
      rechost::fail<CommError>("{}; this rank was in {}", blamed.value_or(error.what()), operation);
    }
  }

  std::unique_ptr<Communicator> inner_;
  Job& job_;
  std::atomic<bool> aborted_{false};
};

class Together final : public Ranks {
 public:
  Together(const ProcessIdentity& identity, const CommSection& comm) {
    // What started this rank may be gone: that nobody reads what it says is no reason to die before it has written a checkpoint.
    std::signal(SIGPIPE, SIG_IGN);
    JobSettings settings;
    settings.rank = identity.rank;
    settings.world_size = identity.world_size;
    for (const int port : identity.ports) settings.meeting.push_back({identity.host, port});
    settings.listener = FileDescriptor(identity.listener);
    settings.token = identity.token + job_secret();
    const std::string key = settings.token;
    settings.program = std::string(version());
    settings.host = host_name();
    allow_connections();
    settings.join_within = std::chrono::seconds(comm.join_seconds);
    settings.stop = &catch_stop_signals();
    job_ = Job::join(std::move(settings));

    peers_.rank = identity.rank;
    peers_.world_size = identity.world_size;
    peers_.host = host_name();
    peers_.address = job_->address();
    peers_.key = key;
    peers_.shared_memory = comm.transport == "auto";
    peers_.exchange = [this](const std::string& own) { return job_->exchange(own); };
    // Whatever this process waits for will not come any more.
    job_->on_failure([this](const std::string& what) {
      std::unique_lock lock(mutex_);
      for (const auto& communicator : communicators_) communicator->abort();
      // The main thread finds out in its next exchange, and ends in an orderly way.
      if (leaving_.wait_for(lock, kTimeToEnd, [this] { return left_; })) return;
      // Still here: it is busy with something long. What is on disk is whole, so nothing is lost.
      write_log(LogLevel::kError, what);
      leave_word(LastWord::kOfAnother, what);
      _exit(kPeerLost);
    });
    open(peers_);
  }

  ~Together() override {
    {
      const std::lock_guard lock(mutex_);
      left_ = true;
    }
    leaving_.notify_all();
    // First the job, whose thread may be about to end an exchange; nothing is exchanged any more.
    job_.reset();
    communicators_.clear();
  }

  Communicator& communicator() override { return *communicators_.front(); }

  Communicator& open_another() override {
    CommunicatorSettings settings = peers_;
    settings.deadline = kTimeBesideSteps;
    return open(settings);
  }

  void require_same(std::string_view what, const std::string& text) override {
    const std::vector<std::string> all = job_->exchange(checksum_of(text));
    for (std::size_t rank = 1; rank < all.size(); ++rank) {
      if (all[rank] == all[0]) continue;
      rechost::fail<ConfigError>("rank {} has another {} than rank 0: start all ranks with the same command, files and RECHOST_ variables", rank, what);
    }
  }

  void fail(std::string_view why) override { job_->fail(why); }

 private:
  Communicator& open(const CommunicatorSettings& settings) {
    auto opened = std::make_unique<BlamingCommunicator>(open_communicator(settings), *job_);
    const std::lock_guard lock(mutex_);
    return *communicators_.emplace_back(std::move(opened));
  }

  std::unique_ptr<Job> job_;
  CommunicatorSettings peers_;
  std::mutex mutex_;
  std::condition_variable leaving_;
  bool left_ = false;
  std::vector<std::unique_ptr<Communicator>> communicators_;  ///< the one of the steps first
};

}  // namespace

std::string job_secret() {
  const auto path = environment_variable("RECHOST_JOB_SECRET_FILE");
  if (!path) return {};
  std::string secret;
  try {
    secret = read_file(*path);
  } catch (const Error& error) {
    rechost::fail<ConfigError>("RECHOST_JOB_SECRET_FILE: {}", error.what());
  }
  if (secret.empty()) rechost::fail<ConfigError>("RECHOST_JOB_SECRET_FILE: {} is empty: put the same random bytes there for all ranks", *path);
  return secret;
}

std::unique_ptr<Ranks> Ranks::join(const ProcessIdentity& identity, const CommSection& comm) {
  if (identity.world_size == 1) return std::make_unique<Alone>();
  return std::make_unique<Together>(identity, comm);
}

}  // namespace rechost::app
