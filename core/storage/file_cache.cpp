#include "storage/file_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <system_error>
#include <thread>
#include <utility>

#include "base/checksum.h"
#include "base/error.h"
#include "base/json.h"
#include "base/time.h"

namespace rechost {
namespace {

namespace fs = std::filesystem;

constexpr const char* kMarker = "rechost-cache.json";
constexpr const char* kMarkerText = "{\"format\":\"rechost.cache/1\"}\n";
/// Tells programs that back up or tidy: https://bford.info/cachedir/
constexpr const char* kTag = "CACHEDIR.TAG";
constexpr const char* kTagText = "Signature: 8a477f597d28d172789f06886806bc55\n# Copies of remote data made by rechost; may be deleted when it is not running.\n";
constexpr std::size_t kNameLength = 16;
/// For bookkeeping, which takes milliseconds.
constexpr double kLockSeconds = 60.0;

[[noreturn]] void fail_at(std::string_view what, const fs::path& path) {
  const int reason = errno;
  fail("data.cache: cannot {} {}: {}", what, path.string(), std::strerror(reason));
}

bool try_lock(const FileDescriptor& file, short type) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  if (::fcntl(file.number(), F_OFD_SETLK, &lock) == 0) return true;
  if (errno == EAGAIN || errno == EACCES) return false;
  fail("data.cache: this file system does not lock files ({}): name a folder on another one", std::strerror(errno));
}

FileDescriptor open_file(const fs::path& path, int flags) { return FileDescriptor(::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0666)); }

bool is_name(const std::string& name) {
  return name.size() == kNameLength && name.find_first_not_of("0123456789abcdef") == std::string::npos;
}

CacheRecord parse_record(const std::string& text, const std::string& origin) {
  const Json document = parse_json(text, origin);
  CacheRecord record;
  record.key = document.at("key").get<std::string>();
  record.size = document.at("size").get<std::uint64_t>();
  record.checksum = document.at("checksum").get<std::string>();
  for (const auto& [name, value] : document.at("digests").items()) record.digests[name] = value.get<std::string>();
  return record;
}

std::string record_text(const CacheRecord& record) {
  Json document{{"key", record.key}, {"size", record.size}, {"checksum", record.checksum}, {"digests", Json::object()}};
  for (const auto& [name, value] : record.digests) document["digests"][name] = value;
  return json_document(document);
}

}  // namespace

struct FileCache::Entry {
  std::string name;
  std::uint64_t bytes = 0;
  timespec used{};
};

FileCache::FileCache(fs::path directory, std::uint64_t limit_bytes) : directory_(std::move(directory)), limit_bytes_(limit_bytes) {}

std::string FileCache::name_of(const std::string& key) const { return checksum_of(key).substr(sizeof "xxh3:" - 1); }

void FileCache::prepare() {
  std::error_code error;
  if (fs::exists(directory_ / kMarker, error)) return;
  fs::create_directories(directory_, error);
  if (error) fail("data.cache: cannot make the folder {}: {}", directory_.string(), error.message());
  bool other = false;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory_)) {
    const std::string name = entry.path().filename();
    // What a process that does the same just now, or was killed while it did, has made.
    other = other || (name != kTag && name != "files" && name != "incoming" && name != "lock" && name != kMarker && name.rfind("." + std::string(kMarker), 0) != 0 &&
                      name.rfind("." + std::string(kTag), 0) != 0);
  }
  if (other) {
    fail<ConfigError>("data.cache: {} is not empty and not a cache of rechost, in which files are deleted: name an empty folder, or one that "
                      "does not exist yet",
                      directory_.string());
  }
  for (const char* folder : {"files", "incoming"}) fs::create_directories(directory_ / folder);
  write_file_atomically(directory_ / kTag, kTagText);
  write_file_atomically(directory_ / kMarker, kMarkerText);
}

FileDescriptor FileCache::lock_directory() const {
  const fs::path path = directory_ / "lock";
  FileDescriptor file = open_file(path, O_RDWR | O_CREAT);
  if (!file) fail_at("open", path);
  const auto begin = std::chrono::steady_clock::now();
  auto pause = std::chrono::microseconds(200);
  while (!try_lock(file, F_WRLCK)) {
    if (seconds_since(begin) > kLockSeconds) {
      fail("data.cache: another process has held {} for {:.0f} s: is one of them stopped?", path.string(), kLockSeconds);
    }
    std::this_thread::sleep_for(pause);
    pause = std::min(2 * pause, std::chrono::microseconds(20000));
  }
  return file;
}

bool FileCache::contains(const std::string& key) const {
  std::error_code error;
  const std::string name = name_of(key);
  return fs::exists(data_path(name), error) && fs::exists(record_path(name), error);
}

std::optional<FileCache::Found> FileCache::find(const std::string& key) {
  const std::string name = name_of(key);
  Found found;
  struct stat status {};
  for (;;) {
    found.file = open_file(data_path(name), O_RDONLY);
    if (!found.file) {
      if (errno == ENOENT) return std::nullopt;
      fail_at("open", data_path(name));
    }
    // Somebody who removes it holds it for a moment.
    const bool locked = try_lock(found.file, F_RDLCK);
    if (::fstat(found.file.number(), &status) != 0) fail_at("look at", data_path(name));
    if (status.st_nlink == 0) return std::nullopt;
    if (locked) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  try {
    found.record = parse_record(read_file(record_path(name)), record_path(name).string());
  } catch (const std::exception&) {
    return std::nullopt;  // no record, or not a whole one: as good as not there, and replaced when the file comes again
  }
  if (found.record.key != key || found.record.size != static_cast<std::uint64_t>(status.st_size)) return std::nullopt;
  found.inode = status.st_ino;
  ::futimens(found.file.number(), nullptr);  // what was used longest ago goes first
  return found;
}

FileCache::Incoming::~Incoming() {
  if (file_) ::unlink(path_.c_str());
}

std::vector<FileCache::Entry> FileCache::entries() const {
  std::map<std::string, int> parts;
  std::vector<Entry> found;
  for (const fs::directory_entry& each : fs::directory_iterator(directory_ / "files")) {
    const std::string name = each.path().stem(), ending = each.path().extension();
    if (!is_name(name) || (ending != ".data" && ending != ".json")) continue;
    ++parts[name];
    struct stat status {};
    if (ending == ".json" || ::lstat(each.path().c_str(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
    found.push_back({name, static_cast<std::uint64_t>(status.st_size), status.st_mtim});
  }
  // Of a process that was killed between two renames, or while it removed something.
  for (const auto& part : parts) {
    if (part.second == 2) continue;
    remove(part.first);
    std::erase_if(found, [&](const Entry& entry) { return entry.name == part.first; });
  }
  return found;
}

std::uint64_t FileCache::sweep_incoming() const {
  std::uint64_t bytes = 0;
  for (const fs::directory_entry& each : fs::directory_iterator(directory_ / "incoming")) {
    // Records are written under the lock that we have: this one's writer is dead.
    if (is_name(each.path().stem()) && each.path().extension() == ".json") ::unlink(each.path().c_str());
    if (!is_name(each.path().filename())) continue;
    const FileDescriptor file = open_file(each.path(), O_RDWR);
    struct stat status {};
    if (!file || ::fstat(file.number(), &status) != 0) continue;
    if (try_lock(file, F_WRLCK)) {
      ::unlink(each.path().c_str());  // its owner is dead
    } else {
      bytes += static_cast<std::uint64_t>(status.st_size);
    }
  }
  return bytes;
}

void FileCache::remove(const std::string& name) const {
  ::unlink(record_path(name).c_str());
  ::unlink(data_path(name).c_str());
}

/// With the directory locked. False when what is in use leaves too little.
bool FileCache::make_room(std::uint64_t size, std::uint64_t& bytes_in_use) const {
  std::uint64_t used = sweep_incoming();
  bytes_in_use = used;
  std::vector<Entry> found = entries();
  for (const Entry& entry : found) used += entry.bytes;
  std::sort(found.begin(), found.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.used.tv_sec, a.used.tv_nsec) < std::pair(b.used.tv_sec, b.used.tv_nsec);
  });
  for (const Entry& entry : found) {
    if (used + size <= limit_bytes_) break;
    const FileDescriptor file = open_file(data_path(entry.name), O_RDWR);
    if (file && !try_lock(file, F_WRLCK)) {
      bytes_in_use += entry.bytes;
      continue;
    }
    remove(entry.name);
    used -= entry.bytes;
  }
  return used + size <= limit_bytes_;
}

void FileCache::trim() {
  prepare();
  const FileDescriptor lock = lock_directory();
  std::uint64_t in_use = 0;
  make_room(0, in_use);
}

FileCache::Admission FileCache::admit(const std::string& key, std::uint64_t size) {
  if (size > limit_bytes_) {
    fail<DataError>("{}: has {} bytes, more than the cache may hold: data.cache_gib = {:g} must be above the largest file that is read",
                    key.substr(0, key.find('\n')), size, static_cast<double>(limit_bytes_) / (1 << 30));
  }
  prepare();
  const std::string name = name_of(key);
  const fs::path path = directory_ / "incoming" / name;
  const FileDescriptor lock = lock_directory();
  Admission admission;
  {
    const FileDescriptor other = open_file(path, O_RDWR);
    admission.busy = other && !try_lock(other, F_WRLCK);
    if (admission.busy) return admission;
  }
  if (contains(key)) {
    // Made since the caller looked, or there but not whole.
    if (find(key)) {
      admission.busy = true;
      return admission;
    }
    remove(name);
  }
  if (!make_room(size, admission.bytes_in_use)) return admission;
  FileDescriptor file = open_file(path, O_RDWR | O_CREAT | O_TRUNC);
  if (!file) fail_at("make", path);
  if (!try_lock(file, F_WRLCK)) fail("data.cache: {} is locked, though nobody can have it", path.string());
  Incoming incoming(std::move(file), path);
  // Now rather than in the middle of the download; a file system without this call gets a file with a hole.
  int problem = size == 0 ? 0 : ::posix_fallocate(incoming.file_.number(), 0, static_cast<off_t>(size));
  if (problem == EOPNOTSUPP || problem == EINVAL) problem = ::ftruncate(incoming.file_.number(), static_cast<off_t>(size)) == 0 ? 0 : errno;
  if (problem != 0) {
    fail("data.cache: no room for {} bytes in {}: {}; name a folder on a larger disk, or lower data.cache_gib", size, directory_.string(),
         std::strerror(problem));
  }
  admission.place.emplace(std::move(incoming));
  return admission;
}

FileCache::Found FileCache::keep(Incoming incoming, CacheRecord record) {
  const std::string name = name_of(record.key);
  const fs::path temporary = directory_ / "incoming" / (name + ".json");
  const FileDescriptor lock = lock_directory();
  {
    const FileDescriptor file = open_file(temporary, O_WRONLY | O_CREAT | O_TRUNC);
    if (!file) fail_at("make", temporary);
    const std::string text = record_text(record);
    write_all(file, text.data(), text.size(), temporary);
  }
  if (!try_lock(incoming.file_, F_RDLCK)) fail("data.cache: cannot lower the lock of {}", incoming.path_.string());
  if (::rename(incoming.path_.c_str(), data_path(name).c_str()) != 0) fail_at("rename", incoming.path_);
  const FileDescriptor writable = std::exchange(incoming.file_, FileDescriptor());  // nothing is left to be deleted
  if (::rename(temporary.c_str(), record_path(name).c_str()) != 0) fail_at("rename", temporary);
  Found found;
  found.file = open_file(data_path(name), O_RDONLY);
  struct stat status {};
  if (!found.file || !try_lock(found.file, F_RDLCK) || ::fstat(found.file.number(), &status) != 0) fail_at("open", data_path(name));
  ::futimens(found.file.number(), nullptr);
  found.inode = status.st_ino;
  found.record = std::move(record);
  return found;
}

void FileCache::discard(const std::string& key) {
  prepare();
  const FileDescriptor lock = lock_directory();
  remove(name_of(key));
}

}  // namespace rechost
