#include "storage/storage.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <exception>
#include <random>
#include <system_error>

#include "base/checksum.h"
#include "base/error.h"
#include "base/log.h"
#include "base/time.h"
#include "storage/digest.h"

namespace rechost {
namespace {

namespace fs = std::filesystem;

constexpr int kDownloadAttempts = 2;    // of a file whose bytes are not what was expected
constexpr auto kBusyPause = std::chrono::milliseconds(20);

fs::path default_cache(const Variables& variables) {
  if (const auto cache = variables("XDG_CACHE_HOME"); cache && !cache->empty()) return fs::path(*cache) / "rechost/data";
  if (const auto home = variables("HOME"); home && !home->empty()) return fs::path(*home) / ".cache/rechost/data";
  return {};
}

std::string certificates(const Variables& variables) {
  for (const char* name : {"AWS_CA_BUNDLE", "SSL_CERT_FILE"}) {
    if (const auto file = variables(name); file && !file->empty()) return *file;
  }
  return "";
}

using Digests = std::map<std::string, std::string>;

/// The digests that were expected, as they are; and `checksum` and the bytes themselves, in `target` [size], of the same pass over the file,
/// when they are wanted.
Digests digests_of(const FileDescriptor& file, std::uint64_t size, const FileExpectation& expectation, const std::string& name,
                   Checksum* checksum = nullptr, char* target = nullptr) {
  std::vector<std::pair<std::string, Digest>> digests;
  for (const auto& [digest, value] : expectation.digests) {
    if (std::optional<Digest> known = Digest::named(digest)) digests.emplace_back(digest, std::move(*known));
  }
  // What was just read is in the second-level cache when its digests are made.
  constexpr std::uint64_t kPortion = std::uint64_t{256} << 10;
  std::vector<char> portion(target == nullptr ? kPortion : 0);
  for (std::uint64_t done = 0; done < size;) {
    char* const bytes = target == nullptr ? portion.data() : target + done;
    const ssize_t got = ::pread(file.number(), bytes, std::min(kPortion, size - done), static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail<DataError>("cannot read '{}' at byte {}: {}", name, done, std::strerror(errno));
    if (got == 0) fail<DataError>("'{}' became shorter while it was read, at byte {}", name, done);
    if (checksum != nullptr) checksum->add(bytes, static_cast<std::size_t>(got));
    for (auto& [digest, state] : digests) state.add(bytes, static_cast<std::size_t>(got));
    done += static_cast<std::uint64_t>(got);
  }
  Digests found;
  for (auto& [digest, state] : digests) found[digest] = state.finish();
  return found;
}

/// Of the names in an expectation at least one must be known.
void require_known_digest(const FileExpectation& expectation, const std::string& name) {
  std::string unknown;
  for (const auto& [digest, value] : expectation.digests) {
    if (Digest::named(digest)) return;
    unknown += (unknown.empty() ? "" : ", ") + digest;
  }
  if (!unknown.empty()) {
    fail<DataError>("'{}': has only hashes that are not known here ({}); set check_hashes = false to read it unchecked", name, unknown);
  }
}

/// What differs; empty: nothing.
std::string difference(const Digests& found, const FileExpectation& expectation) {
  for (const auto& [digest, wanted] : expectation.digests) {
    const auto each = found.find(digest);
    if (each != found.end() && each->second != wanted) return fmt::format("is damaged: its {} is {}, the index says {}", digest, each->second, wanted);
  }
  return "";
}

std::string size_problem(std::uint64_t size, std::uint64_t expected) {
  return fmt::format("has {} bytes, the index says {}{}", size, expected, size < expected ? " (cut short?)" : "");
}

std::string digest_text(const FileExpectation& expectation) {
  std::string text;
  for (const auto& [digest, value] : expectation.digests) text += fmt::format("{}={} ", digest, value);
  return text;
}

}  // namespace

struct Storage::Flight {
  std::atomic<bool> urgent{false};
  bool done = false;             ///< under mutex_
  std::exception_ptr failure{};  ///< set before `done`
};

Storage::Storage(StorageSettings settings)
    : settings_(std::move(settings)),
      store_(settings_.variables, settings_.retry, certificates(settings_.variables), &cancel_),
      cache_(settings_.cache.empty() ? default_cache(settings_.variables) : settings_.cache, settings_.cache_bytes),
      downloader_(store_, std::max(settings_.connections, 1), &cancel_),
      run_(fmt::format("{:016x}", (std::uint64_t{std::random_device{}()} << 32) | std::random_device{}())) {}

Storage::~Storage() {
  cancel_ = true;
  {
    const std::lock_guard lock(mutex_);
    ahead_.clear();
  }
  changed_.notify_all();
  for (std::thread& fetcher : fetchers_) fetcher.join();
}

FileState Storage::look(const Location& location) {
  FileState state;
  if (!location.remote()) {
    struct stat status {};
    if (::stat(location.path().c_str(), &status) != 0) {
      if (errno == ENOENT || errno == ENOTDIR) return state;
      fail<DataError>("cannot look at '{}': {}", location.text(), std::strerror(errno));
    }
    state.kind = S_ISDIR(status.st_mode) ? FileKind::kFolder : FileKind::kFile;
    state.size = static_cast<std::uint64_t>(status.st_size);
    state.version = fmt::format("time {}.{:09}", status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
    return state;
  }
  const bool bucket = location.scheme() == Location::Scheme::kS3 && location.path().empty();
  if (const auto remote = bucket ? std::nullopt : state_of(location)) {
    state.kind = FileKind::kFile;
    state.size = remote->size;
    state.version = remote->version;
  } else if (location.scheme() == Location::Scheme::kS3 && !store_.list(location, 1).empty()) {
    state.kind = FileKind::kFolder;
  }
  return state;
}

std::vector<FolderFile> Storage::list(const Location& folder) {
  std::vector<FolderFile> files;
  if (folder.remote()) {
    const std::size_t prefix = folder.path().empty() ? 0 : folder.path().size() + 1;
    for (const RemoteFile& file : store_.list(folder)) files.push_back({file.location.path().substr(prefix), file.size});
    return files;
  }
  std::error_code error;
  for (fs::recursive_directory_iterator each(folder.path(), error), end; !error && each != end; each.increment(error)) {
    if (each->is_regular_file(error)) files.push_back({each->path().lexically_relative(folder.path()).string(), each->file_size(error)});
  }
  if (error) fail<DataError>("cannot list '{}': {}", folder.text(), error.message());
  std::sort(files.begin(), files.end(), [](const FolderFile& a, const FolderFile& b) { return a.name < b.name; });
  return files;
}

FileDescriptor Storage::open(const Location& location, const FileExpectation& expectation) {
  require_known_digest(expectation, location.text());
  if (!location.remote()) return open_local(location, expectation);
  forget_wanted(location);
  return open_remote(location, expectation, true);
}

void Storage::read(const Location& location, const FileExpectation& expectation, char* target) {
  require_known_digest(expectation, location.text());
  if (!location.remote()) {
    open_local(location, expectation, target);
    return;
  }
  const FileDescriptor file = open(location, expectation);
  digests_of(file, *expectation.size, {}, location.text(), nullptr, target);
}

FileDescriptor Storage::open_local(const Location& location, const FileExpectation& expectation, char* target) {
  // O_NONBLOCK: a pipe that nobody writes to would hold us here.
  FileDescriptor file(::open(location.path().c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) fail<DataError>("cannot open '{}': {}", location.text(), std::strerror(errno));
  struct stat status {};
  if (::fstat(file.number(), &status) != 0) fail<DataError>("cannot look at '{}': {}", location.text(), std::strerror(errno));
  if (!S_ISREG(status.st_mode)) fail<DataError>("'{}' is no regular file", location.text());
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (expectation.size && *expectation.size != size) fail<DataError>("'{}': {}", location.text(), size_problem(size, *expectation.size));
  const auto copy = [&] {
    if (target != nullptr) digests_of(file, size, {}, location.text(), nullptr, target);
  };
  if (expectation.digests.empty()) {
    copy();
    return file;
  }
  const std::string state = fmt::format("{}:{}:{}:{}.{} {}", status.st_dev, status.st_ino, size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec,
                                        digest_text(expectation));
  bool checked = false;
  {
    const std::lock_guard lock(mutex_);
    checked = checked_.contains(state);
  }
  if (checked) {
    copy();
    return file;
  }
  const std::string problem = difference(digests_of(file, size, expectation, location.text(), nullptr, target), expectation);
  if (!problem.empty()) fail<DataError>("'{}': {}", location.text(), problem);
  const std::lock_guard lock(mutex_);
  checked_.insert(state);
  return file;
}

std::optional<RemoteState> Storage::state_of(const Location& location) {
  remote_in_use_ = true;
  {
    const std::lock_guard lock(mutex_);
    if (const auto known = states_.find(location.text()); known != states_.end()) return known->second;
  }
  const std::optional<RemoteState> state = store_.look(location);
  const std::lock_guard lock(mutex_);
  if (state) states_.emplace(location.text(), state);  // what is not there may come
  return state;
}

FileDescriptor Storage::open_remote(const Location& location, const FileExpectation& expectation, bool urgent) {
  remote_in_use_ = true;
  if (cache_.directory().empty()) throw ConfigError("remote data needs a cache: set data.cache to a folder (HOME is not set)");
  std::call_once(trimmed_, [this] { cache_.trim(); });
  RemoteState state;
  std::string version;
  const bool known = expectation.size && std::any_of(expectation.digests.begin(), expectation.digests.end(),
                                                     [](const auto& digest) { return Digest::named(digest.first).has_value(); });
  if (known) {  // the bytes are named better than by any server, and need not be asked for
    state.size = *expectation.size;
    version = fmt::format("{} bytes {}", state.size, digest_text(expectation));
  } else {
    const std::optional<RemoteState> found = state_of(location);
    if (!found) fail<DataError>("{}: there is no such file", location.text());
    state = *found;
    if (expectation.size && *expectation.size != state.size) fail<DataError>("{}: {}", location.text(), size_problem(state.size, *expectation.size));
    version = fmt::format("{} bytes {}", state.size, state.version.empty() ? "seen by " + run_ : state.version);
  }
  const std::string key = location.text() + '\n' + version;
  for (;;) {
    if (auto found = cache_.find(key)) {
      if (auto file = checked(location, key, expectation, std::move(*found))) return std::move(*file);
    }
    std::shared_ptr<Flight> flight;
    {
      std::unique_lock lock(mutex_);
      if (const auto other = flights_.find(key); other != flights_.end()) {
        const std::shared_ptr<Flight> theirs = other->second;
        if (urgent) theirs->urgent = true;
        changed_.wait(lock, [&] { return theirs->done; });
        if (theirs->failure) std::rethrow_exception(theirs->failure);  // what it has waited for is not waited for again
        continue;
      }
      flight = std::make_shared<Flight>();
      flight->urgent = urgent;
      flights_.emplace(key, flight);
    }
    struct Landing {
      Storage& storage;
      const std::string& key;
      Flight& flight;
      ~Landing() {
        {
          const std::lock_guard lock(storage.mutex_);
          flight.done = true;
          storage.flights_.erase(key);
        }
        storage.changed_.notify_all();
      }
    } const landing{*this, key, *flight};
    try {
      if (auto file = download(location, key, state, expectation, flight->urgent)) return std::move(*file);
    } catch (...) {
      flight->failure = std::current_exception();
      throw;
    }
  }
}

/// Nothing when the copy is not what it should be; then it has been thrown away.
std::optional<FileDescriptor> Storage::checked(const Location& location, const std::string& key, const FileExpectation& expectation,
                                               FileCache::Found found) {
  // The file may have been written by another process, years ago, before a power cut.
  const std::string state = fmt::format("{} {}", found.inode, key);
  {
    const std::lock_guard lock(mutex_);
    if (checked_.contains(state)) return std::move(found.file);
  }
  Checksum checksum;
  std::string problem = difference(digests_of(found.file, found.record.size, expectation, location.text(), &checksum), expectation);
  if (checksum.text() != found.record.checksum) problem = "is damaged in the cache";
  if (problem.empty()) {
    const std::lock_guard lock(mutex_);
    checked_.insert(state);
    return std::move(found.file);
  }
  log_warning("{}: the copy in {} {}; it is downloaded again", location.text(), cache_.directory().string(), problem);
  cache_.discard(key);
  return std::nullopt;
}

/// Nothing when somebody else was quicker: then look again.
std::optional<FileDescriptor> Storage::download(const Location& location, const std::string& key, const RemoteState& state,
                                                const FileExpectation& expectation, const std::atomic<bool>& urgent) {
  const auto begin = std::chrono::steady_clock::now();
  std::optional<FileCache::Incoming> place;
  while (!place) {
    FileCache::Admission admission = cache_.admit(key, state.size);
    if (admission.place) {
      place.emplace(std::move(*admission.place));
      break;
    }
    if (!admission.busy && seconds_since(begin) > settings_.retry.deadline_seconds) {
      fail<DataError>("{}: the cache {} may hold {} bytes, and files of {} bytes are being read just now: raise data.cache_gib, or use fewer "
                      "data.reader_threads",
                      location.text(), cache_.directory().string(), cache_.limit_bytes(), admission.bytes_in_use);
    }
    if (cancel_) fail("{}: the download was cancelled", location.text());
    std::this_thread::sleep_for(kBusyPause);
    if (admission.busy && cache_.contains(key)) return std::nullopt;
  }
  for (int attempt = 1;; ++attempt) {
    downloader_.fetch(location, state.size, state.tag, place->file(), urgent);
    Checksum checksum;
    const Digests digests = digests_of(place->file(), state.size, expectation, location.text(), &checksum);
    const std::string problem = difference(digests, expectation);
    if (problem.empty()) {
      FileCache::Found kept = cache_.keep(std::move(*place), {key, state.size, checksum.text(), digests});
      const std::lock_guard lock(mutex_);
      checked_.insert(fmt::format("{} {}", kept.inode, key));
      return std::move(kept.file);
    }
    if (attempt == kDownloadAttempts) {
      fail<DataError>("'{}': {} (downloaded {} times; no sample of it was used)", location.text(), problem, kDownloadAttempts);
    }
    log_warning("{}: {}; it is downloaded again", location.text(), problem);
  }
}

void Storage::read_ahead(const void* reader, std::vector<Wanted> files) {
  std::erase_if(files, [](const Wanted& wanted) { return !wanted.location.remote(); });
  {
    const std::lock_guard lock(mutex_);
    ahead_.erase(reader);
    if (!files.empty()) ahead_[reader].assign(std::make_move_iterator(files.begin()), std::make_move_iterator(files.end()));
    std::set<std::string> listed;
    for (const auto& [each, wanted] : ahead_) {
      for (const Wanted& file : wanted) listed.insert(file.location.text());
    }
    std::erase_if(begun_ahead_, [&](const std::string& location) { return !listed.contains(location); });
    if (ahead_.empty() || cache_.directory().empty() || cancel_) return;
    // A file that is smaller than a part keeps one connection busy.
    while (fetchers_.size() < static_cast<std::size_t>(std::max(settings_.connections, 1))) fetchers_.emplace_back([this] { fetch_ahead(); });
  }
  changed_.notify_all();
}

void Storage::forget_wanted(const Location& location) {
  {
    const std::lock_guard lock(mutex_);
    for (auto& [reader, wanted] : ahead_) {
      const auto found = std::find_if(wanted.begin(), wanted.end(), [&](const Wanted& each) { return each.location == location; });
      if (found != wanted.end()) wanted.erase(found);
    }
    begun_ahead_.erase(location.text());
    if (ahead_.empty()) return;
  }
  changed_.notify_all();  // there is room for more
}

/// The first files of all readers, then their second ones, ... A file that alone is larger than all of them may be still comes ahead, if the
/// one before it and the one behind it fit beside it. mutex_ is held.
std::optional<Storage::Wanted> Storage::next_ahead() const {
  std::uint64_t bytes = 0;
  bool any = true;
  for (std::size_t depth = 0; any; ++depth) {
    any = false;
    for (const auto& [reader, files] : ahead_) {
      if (depth >= files.size()) continue;
      any = true;
      const Wanted& wanted = files[depth];
      const auto known = states_.find(wanted.location.text());
      const std::uint64_t size = wanted.expectation.size ? *wanted.expectation.size : known != states_.end() && known->second ? known->second->size : 0;
      if (bytes + size > cache_.limit_bytes() / (bytes == 0 ? 3 : 4)) return std::nullopt;
      bytes += size;
      if (!begun_ahead_.contains(wanted.location.text())) return wanted;
    }
  }
  return std::nullopt;
}

void Storage::fetch_ahead() {
  std::unique_lock lock(mutex_);
  for (;;) {
    std::optional<Wanted> wanted;
    changed_.wait(lock, [&] { return cancel_ || (wanted = next_ahead()); });
    if (cancel_) return;
    begun_ahead_.insert(wanted->location.text());
    lock.unlock();
    try {
      open_remote(wanted->location, wanted->expectation, false);
    } catch (const std::exception& error) {
      log_debug("read ahead: {}", error.what());  // open() says it again, to somebody who can act
    }
    lock.lock();
  }
}

}  // namespace rechost
