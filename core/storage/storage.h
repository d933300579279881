#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/file.h"
#include "storage/downloader.h"
#include "storage/file_cache.h"
#include "storage/location.h"
#include "storage/remote_store.h"

namespace rechost {

struct StorageSettings {
  Variables variables = [](const std::string&) { return std::optional<std::string>(); };
  std::filesystem::path cache;  ///< empty: $XDG_CACHE_HOME/rechost/data, else $HOME/.cache/rechost/data
  std::uint64_t cache_bytes = std::uint64_t{64} << 30;
  int connections = 8;
  RetrySettings retry{};
};

enum class FileKind { kNone, kFile, kFolder };

struct FileState {
  FileKind kind = FileKind::kNone;
  std::uint64_t size = 0;
  std::string version;  ///< changes when the file does: an entity tag, a time; empty: nobody says
};

struct FolderFile {
  std::string name;  ///< below the folder, with '/'
  std::uint64_t size = 0;
};

/// What somebody knows of a file beforehand, from an index.
struct FileExpectation {
  std::optional<std::uint64_t> size;
  std::vector<std::pair<std::string, std::string>> digests;  ///< name as in Digest, lower-case hexadecimal
};

/// Files of a data set, wherever they lie. Remote ones are copied whole into a cache that processes share, and read there: a loader sees
/// descriptors of local files only. In one process a remote file has one version: it is looked at once, and a file that changes after that is
/// an error. Any thread, several at once; every function but read_ahead() may wait for a server, and throws DataError or ConfigError that
/// names the location and what to do.
class Storage {
 public:
  /// Touches nothing until something remote is asked for.
  explicit Storage(StorageSettings settings);
  /// Ends downloads.
  ~Storage();
  Storage(const Storage&) = delete;  // threads refer to it
  Storage& operator=(const Storage&) = delete;

  FileState look(const Location& location);
  /// All files below, in folders of it too, sorted by name; empty when there is none.
  std::vector<FolderFile> list(const Location& folder);

  /// The file, open for reading at offset 0 and as it was expected: size and digests are compared before this returns, those of a remote
  /// file when it was downloaded, those of a local one once for each state (size and time) of it. A download that does not match is
  /// repeated once; none that does not match is ever kept. Of the digests those with unknown names are passed over; when there are only such
  /// ones, that is a DataError.
  FileDescriptor open(const Location& location, const FileExpectation& expectation = {});

  /// The whole file into `target` [expectation.size, which must be there], compared as open() does. A local file that is compared for the first
  /// time is read once for both.
  void read(const Location& location, const FileExpectation& expectation, char* target);

  struct Wanted {
    Location location;
    FileExpectation expectation;
  };
  /// Whether anything remote was looked at or opened so far.
  bool remote_in_use() const { return remote_in_use_; }

  /// The remote files that `reader` will open next, in this order: they are downloaded ahead as far as a quarter of the cache holds those of
  /// all readers. What is removed for them is then what was read before, not what was downloaded ahead and is still to be read.
  /// Replaces what the reader said before; an empty list forgets it. Failures are left to open(). Does not wait.
  void read_ahead(const void* reader, std::vector<Wanted> files);

 private:
  struct Flight;

  FileDescriptor open_local(const Location& location, const FileExpectation& expectation, char* target = nullptr);
  FileDescriptor open_remote(const Location& location, const FileExpectation& expectation, bool urgent);
  std::optional<FileDescriptor> checked(const Location& location, const std::string& key, const FileExpectation& expectation, FileCache::Found found);
  std::optional<FileDescriptor> download(const Location& location, const std::string& key, const RemoteState& state,
                                         const FileExpectation& expectation, const std::atomic<bool>& urgent);
  std::optional<RemoteState> state_of(const Location& location);
  void forget_wanted(const Location& location);
  std::optional<Wanted> next_ahead() const;
  void fetch_ahead();

  const StorageSettings settings_;
  std::atomic<bool> cancel_{false};
  std::atomic<bool> remote_in_use_{false};
  RemoteStore store_;
  FileCache cache_;
  std::once_flag trimmed_;
  Downloader downloader_;
  const std::string run_;  ///< names versions that no server names: good for this process only

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::optional<RemoteState>> states_;  ///< by location
  std::map<std::string, std::shared_ptr<Flight>> flights_;    ///< files being downloaded by this process, by key
  std::set<std::string> checked_;                             ///< states of files whose bytes were compared by this process
  std::map<const void*, std::deque<Wanted>> ahead_;
  std::set<std::string> begun_ahead_;  ///< locations of these lists: fetched, being fetched, or failed, which open() will tell
  std::vector<std::thread> fetchers_;
};

}  // namespace rechost
