#include "storage/downloader.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>

#include "base/error.h"

namespace rechost {
namespace {

/// At 20 MB/s and 50 ms to the first byte, waiting is an eighth of the time of a part, and several are under way.
constexpr std::uint64_t kPartBytes = std::uint64_t{8} << 20;

void write_at(const FileDescriptor& file, std::uint64_t offset, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(file.number(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) fail("data.cache: cannot write what was downloaded: {}", std::strerror(errno));
    offset += static_cast<std::uint64_t>(written);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
}

/// "https://host:port" or "s3": what parts are a property of.
std::string server_of(const Location& location) {
  if (location.scheme() == Location::Scheme::kS3) return "s3";
  return location.path().substr(0, location.path().find('/', location.path().find("//") + 2));
}

}  // namespace

struct Downloader::Transfer {
  const Location& location;
  std::uint64_t size;
  const std::string& tag;
  const FileDescriptor& target;
  const std::atomic<bool>& urgent;
  std::size_t open_parts = 0;
  std::exception_ptr failure{};
  std::atomic<bool> failed{false};
};

Downloader::Downloader(RemoteStore& store, int connections, const std::atomic<bool>* cancel)
    : store_(store), connections_(connections), cancel_(cancel) {}

Downloader::~Downloader() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  queued_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Downloader::fetch(const Location& location, std::uint64_t size, const std::string& tag, const FileDescriptor& target,
                       const std::atomic<bool>& urgent) {
  if (size == 0) return;
  Transfer transfer{.location = location, .size = size, .tag = tag, .target = target, .urgent = urgent};
  bool parts = size > kPartBytes;
  if (parts) {
    const std::lock_guard lock(mutex_);
    parts = !whole_only_.contains(server_of(location));
  }
  try {
    run(transfer, parts ? kPartBytes : size);
  } catch (const PartsRefused&) {
    {
      const std::lock_guard lock(mutex_);
      whole_only_.insert(server_of(location));
    }
    Transfer whole{.location = location, .size = size, .tag = tag, .target = target, .urgent = urgent};
    run(whole, size);
  }
}

void Downloader::run(Transfer& transfer, std::uint64_t part_bytes) {
  std::unique_lock lock(mutex_);
  while (threads_.size() < static_cast<std::size_t>(connections_)) threads_.emplace_back([this] { work(); });
  for (std::uint64_t offset = 0; offset < transfer.size; offset += part_bytes) {
    parts_.push_back({&transfer, offset, std::min(part_bytes, transfer.size - offset)});
    ++transfer.open_parts;
  }
  queued_.notify_all();
  finished_.wait(lock, [&] { return transfer.open_parts == 0; });
  if (transfer.failure) std::rethrow_exception(transfer.failure);
}

void Downloader::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    queued_.wait(lock, [&] { return stopping_ || !parts_.empty(); });
    if (stopping_ && parts_.empty()) return;
    auto next = std::find_if(parts_.begin(), parts_.end(), [](const Part& part) { return part.transfer->urgent.load(); });
    if (next == parts_.end()) next = parts_.begin();
    const Part part = *next;
    parts_.erase(next);
    lock.unlock();
    std::exception_ptr failure;
    try {
      if (!part.transfer->failed) bring(part);
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    if (failure && !part.transfer->failure) {
      part.transfer->failure = failure;
      part.transfer->failed = true;
    }
    --part.transfer->open_parts;
    finished_.notify_all();
  }
}

void Downloader::bring(const Part& part) {
  Transfer& transfer = *part.transfer;
  store_.read(transfer.location, {.offset = part.offset, .size = part.size, .total = transfer.size, .tag = transfer.tag},
              [&](std::uint64_t offset, std::string_view bytes) {
                if (transfer.failed) fail("{}: another part has failed", transfer.location.text());
                if (cancel_ != nullptr && cancel_->load()) fail("{}: the download was cancelled", transfer.location.text());
                write_at(transfer.target, offset, bytes);
              });
}

}  // namespace rechost
