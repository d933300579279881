#include "comm/shared_memory.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstring>
#include <string>

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/cache_line.h"
#include "base/error.h"
#include "base/file.h"
#include "base/host.h"
#include "base/log.h"
#include "comm/queued_messages.h"

namespace rechost {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kPage = 4096;
/// All rings together take at most this much, and one at most kLargestRing: what fits the cache is quicker than what does not.
constexpr std::size_t kAllRings = std::size_t{64} << 20U;
constexpr std::size_t kLargestRing = std::size_t{1} << 20U;
constexpr std::size_t kSmallestRing = std::size_t{64} << 10U;
/// The other side sees bytes in portions of this, and copies one while this side copies the next.
constexpr std::size_t kPortion = std::size_t{64} << 10U;
/// A peer that computes the same is often ready within this: asleep it would be woken later than that.
constexpr auto kSpin = std::chrono::microseconds(30);
constexpr auto kNap = std::chrono::milliseconds(200);

/// Where a rank sleeps until a peer has done something for it.
struct alignas(kCacheLineBytes) Doorbell {
  std::atomic<std::uint32_t> rung;
  std::atomic<std::uint32_t> asleep;
};

/// Bytes from one rank to another: written counts those put in, read those taken out, both since the start.
struct alignas(kCacheLineBytes) Ring {
  alignas(kCacheLineBytes) std::atomic<std::uint64_t> written;
  alignas(kCacheLineBytes) std::atomic<std::uint64_t> read;
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free && std::atomic<std::uint32_t>::is_always_lock_free);

void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected, std::chrono::milliseconds longest) {
  const timespec time{static_cast<time_t>(longest.count() / 1000), static_cast<long>(longest.count() % 1000) * 1'000'000};
  (void)syscall(SYS_futex, &word, FUTEX_WAIT, expected, &time, nullptr, 0);
}

void futex_wake(std::atomic<std::uint32_t>& word) { (void)syscall(SYS_futex, &word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0); }

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

std::string link_target(const char* path) {
  std::array<char, 256> text{};
  const ssize_t size = readlink(path, text.data(), text.size());
  return size > 0 ? std::string(text.data(), static_cast<std::size_t>(size)) : std::string();
}

/// The same for processes that can open each other's files through /proc, and for no others. Empty: there is no /proc to tell.
std::string machine_key(const std::string& host) {
  const std::string processes = link_target("/proc/self/ns/pid");
  std::string boot;
  try {
    boot = read_file("/proc/sys/kernel/random/boot_id");
  } catch (const Error&) {
    return {};
  }
  if (processes.empty() || boot.empty()) return {};
  return fmt::format("{} {} {} {}", host, boot, processes, geteuid());
}

std::size_t ring_bytes(std::size_t members) {
  const std::size_t share = kAllRings / (members * (members - 1));
  return std::clamp(share, kSmallestRing, kLargestRing) / kPage * kPage;
}

/// Doorbells, then rings, then their bytes.
struct Layout {
  explicit Layout(std::size_t members) : members(members), capacity(ring_bytes(members)) {}

  std::size_t rings_at() const { return members * sizeof(Doorbell); }
  std::size_t bytes_at() const { return (rings_at() + members * members * sizeof(Ring) + kPage - 1) / kPage * kPage; }
  std::size_t size() const { return bytes_at() + members * members * capacity; }

  std::size_t members;
  std::size_t capacity;  ///< of one ring
};

/// The memory, as this process sees it.
class Mapping {
 public:
  Mapping(const FileDescriptor& file, const Layout& layout) : layout_(layout) {
    struct stat status {};
    if (fstat(file.number(), &status) != 0 || static_cast<std::size_t>(status.st_size) != layout.size()) {
      fail<CommError>("it has {} bytes instead of {}", status.st_size, layout.size());
    }
    memory_ = mmap(nullptr, layout.size(), PROT_READ | PROT_WRITE, MAP_SHARED, file.number(), 0);
    if (memory_ == MAP_FAILED) fail<CommError>("it cannot be mapped: {}", std::strerror(errno));
  }
  ~Mapping() {
    if (memory_ != MAP_FAILED) munmap(memory_, layout_.size());
  }
  Mapping(const Mapping&) = delete;  // one owner
  Mapping& operator=(const Mapping&) = delete;

  // Fresh memory is zero, which is what all counters begin with.
  Doorbell& doorbell(std::size_t member) const { return reinterpret_cast<Doorbell*>(memory_)[member]; }
  Ring& ring(std::size_t from, std::size_t to) const { return reinterpret_cast<Ring*>(at(layout_.rings_at()))[from * layout_.members + to]; }
  std::byte* bytes(std::size_t from, std::size_t to) const {
    return at(layout_.bytes_at() + (from * layout_.members + to) * layout_.capacity);
  }
  std::size_t capacity() const { return layout_.capacity; }

 private:
  std::byte* at(std::size_t offset) const { return static_cast<std::byte*>(memory_) + offset; }

  Layout layout_;
  void* memory_ = MAP_FAILED;
};

/// What is to be moved next.
template <typename Byte>
std::span<Byte> first_of(const std::array<std::span<Byte>, 2>& parts) {
  return parts[parts[0].empty() ? 1 : 0];
}

class SharedMessages final : public QueuedMessages {
 public:
  SharedMessages(std::unique_ptr<Mapping> mapping, std::vector<int> members, int rank, std::chrono::milliseconds deadline)
      : mapping_(std::move(mapping)), members_(std::move(members)), own_(place_of(rank)), deadline_(deadline) {
    if (static_cast<std::size_t>(usable_cores()) >= members_.size()) spin_ = kSpin;
  }

  void finish() override {
    if (progress()) return;
    const auto until = Clock::now() + deadline_;
    auto awake_until = Clock::now() + spin_;
    std::uint64_t moved = moved_;
    for (;;) {
      for (int i = 0; i < 32; ++i) pause();
      if (progress()) return;
      const auto now = Clock::now();
      if (moved != moved_) {
        moved = moved_;
        awake_until = now + spin_;
        continue;
      }
      if (now < awake_until) continue;
      if (now > until) fail<CommError>("{}: passed its deadline of {} s", operation(), deadline_.count() / 1000);
      sleep();
      if (progress()) return;
    }
  }

 private:
  int way_to(int rank) const override { return static_cast<int>(place_of(rank)); }
  void wake() override { ring_bell(own_); }

  std::size_t place_of(int rank) const {
    return static_cast<std::size_t>(std::find(members_.begin(), members_.end(), rank) - members_.begin());
  }

  bool push(Outgoing& message) override {
    const auto peer = static_cast<std::size_t>(message.way);
    Ring& ring = mapping_->ring(own_, peer);
    std::byte* const bytes = mapping_->bytes(own_, peer);
    const std::size_t capacity = mapping_->capacity();
    std::uint64_t written = ring.written.load(std::memory_order_relaxed);
    while (!message.complete()) {
      const std::span<const std::byte> rest = first_of(message.rest());
      const auto room = capacity - static_cast<std::size_t>(written - ring.read.load(std::memory_order_acquire));
      const auto at = static_cast<std::size_t>(written % capacity);
      const std::size_t count = std::min({rest.size(), room, capacity - at, kPortion});
      if (count == 0) break;
      std::memcpy(bytes + at, rest.data(), count);
      message.done += count;
      moved_ += count;
      written += count;
      // The header travels with the first bytes.
      if (message.done > sizeof(MessageHeader)) publish(ring.written, written, peer);
    }
    publish(ring.written, written, peer);
    return message.complete();
  }

  bool pull(Incoming& message) override {
    const auto peer = static_cast<std::size_t>(message.way);
    Ring& ring = mapping_->ring(peer, own_);
    const std::byte* const bytes = mapping_->bytes(peer, own_);
    const std::size_t capacity = mapping_->capacity();
    std::uint64_t read = ring.read.load(std::memory_order_relaxed);
    while (!message.complete()) {
      const std::span<std::byte> rest = first_of(message.rest());
      const auto there = static_cast<std::size_t>(ring.written.load(std::memory_order_acquire) - read);
      const auto at = static_cast<std::size_t>(read % capacity);
      const std::size_t count = std::min({rest.size(), there, capacity - at, kPortion});
      if (count == 0) break;
      std::memcpy(rest.data(), bytes + at, count);
      advance(message, count);
      moved_ += count;
      read += count;
      publish(ring.read, read, peer);
    }
    return message.complete();
  }

  void publish(std::atomic<std::uint64_t>& counter, std::uint64_t value, std::size_t peer) {
    if (counter.load(std::memory_order_relaxed) == value) return;
    counter.store(value, std::memory_order_release);
    // Either the peer sees the counter before it falls asleep, or this side sees that it sleeps.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (mapping_->doorbell(peer).asleep.load(std::memory_order_relaxed) != 0) ring_bell(peer);
  }

  void ring_bell(std::size_t member) {
    Doorbell& bell = mapping_->doorbell(member);
    bell.rung.fetch_add(1, std::memory_order_seq_cst);
    futex_wake(bell.rung);
  }

  /// Until a peer has done something, or for a while.
  void sleep() {
    Doorbell& bell = mapping_->doorbell(own_);
    const std::uint32_t rung = bell.rung.load(std::memory_order_seq_cst);
    bell.asleep.store(1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (!could_move() && !aborted()) futex_wait(bell.rung, rung, kNap);
    bell.asleep.store(0, std::memory_order_relaxed);
  }

  bool could_move() const {
    const auto room_for = [&](const Outgoing& message) {
      const Ring& ring = mapping_->ring(own_, static_cast<std::size_t>(message.way));
      return !message.complete() && ring.written.load() - ring.read.load() < mapping_->capacity();
    };
    const auto bytes_for = [&](const Incoming& message) {
      const Ring& ring = mapping_->ring(static_cast<std::size_t>(message.way), own_);
      return !message.complete() && ring.written.load() != ring.read.load();
    };
    return std::ranges::any_of(outgoing(), room_for) || std::ranges::any_of(incoming(), bytes_for);
  }

  std::unique_ptr<Mapping> mapping_;
  std::vector<int> members_;  ///< ranks, this one too; their places are their numbers in the mapping
  std::size_t own_;
  std::chrono::milliseconds deadline_;
  std::chrono::microseconds spin_{0};
  std::uint64_t moved_ = 0;
};

/// Memory that exists as long as somebody has it open.
FileDescriptor make_memory(const Layout& layout) {
  FileDescriptor file(memfd_create("rechost-ranks", MFD_CLOEXEC));
  if (!file) fail<CommError>("no memory to share: {}", std::strerror(errno));
  // Taken now: a page that is not there when it is first written would be a SIGBUS.
  if (const int error = posix_fallocate(file.number(), 0, static_cast<off_t>(layout.size())); error != 0) {
    fail<CommError>("no {} MiB of memory to share: {}", layout.size() >> 20U, std::strerror(error));
  }
  return file;
}

FileDescriptor open_memory(const std::string& path) {
  FileDescriptor file(open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!file) fail<CommError>("{}: {}", path, std::strerror(errno));
  return file;
}

}  // namespace

SharedMemory open_shared_memory(const CommunicatorSettings& settings) {
  const std::vector<std::string> keys = settings.exchange(settings.shared_memory ? machine_key(settings.host) : std::string());
  const std::string& own_key = keys[static_cast<std::size_t>(settings.rank)];
  std::vector<int> members;
  for (int rank = 0; rank < settings.world_size; ++rank) {
    if (rank == settings.rank || (!own_key.empty() && keys[static_cast<std::size_t>(rank)] == own_key)) members.push_back(rank);
  }
  const int leader = members.front();
  const Layout layout(std::max<std::size_t>(members.size(), 2));

  FileDescriptor file;
  std::unique_ptr<Mapping> mapping;
  std::string problem;
  std::string path;
  const auto attempt = [&](const auto& action) {
    try {
      action();
    } catch (const Error& error) {
      problem = error.what();
    }
  };
  if (settings.rank == leader && members.size() > 1) {
    attempt([&] {
      file = make_memory(layout);
      path = fmt::format("/proc/{}/fd/{}", getpid(), file.number());
    });
  }
  const std::vector<std::string> paths = settings.exchange(path);
  if (const std::string& leaders_path = paths[static_cast<std::size_t>(leader)]; !leaders_path.empty()) {
    attempt([&] {
      if (settings.rank != leader) file = open_memory(leaders_path);
      mapping = std::make_unique<Mapping>(file, layout);
    });
  } else if (members.size() > 1 && problem.empty()) {
    problem = fmt::format("rank {} has none to share", leader);
  }
  // All of them, or none: each message has a sender and a receiver. The leader's file is open until all have opened it.
  const std::vector<std::string> problems = settings.exchange(problem);
  for (const int member : members) {
    const std::string& theirs = problems[static_cast<std::size_t>(member)];
    if (theirs.empty()) continue;
    if (settings.rank == leader) log_warning("ranks on {} talk over TCP, not through shared memory: rank {}: {}", settings.host, member, theirs);
    return {};
  }
  if (members.size() == 1) return {};
  SharedMemory shared;
  shared.messages = std::make_unique<SharedMessages>(std::move(mapping), members, settings.rank, settings.deadline);
  shared.ranks = std::move(members);
  std::erase(shared.ranks, settings.rank);
  return shared;
}

}  // namespace rechost
