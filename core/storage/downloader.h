#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/file.h"
#include "storage/location.h"
#include "storage/remote_store.h"

namespace rechost {

/// Brings whole files, each in parts over several connections at once. Threads are started with the first file.
class Downloader {
 public:
  /// `connections` >= 1: requests under way at once, over all files. `store` and `cancel` outlive it.
  Downloader(RemoteStore& store, int connections, const std::atomic<bool>* cancel);
  /// `cancel` must be set, or no file be under way.
  ~Downloader();
  Downloader(const Downloader&) = delete;  // threads refer to it
  Downloader& operator=(const Downloader&) = delete;

  /// Writes `size` bytes of the file to `target`, from its offset 0 on, and waits for it. `tag` as in RemotePart. Files that somebody waits
  /// for (`urgent`, which may become true meanwhile) go before those that are fetched ahead. Throws what RemoteStore::read() throws. Any
  /// thread.
  void fetch(const Location& location, std::uint64_t size, const std::string& tag, const FileDescriptor& target, const std::atomic<bool>& urgent);

 private:
  struct Transfer;
  struct Part {
    Transfer* transfer;
    std::uint64_t offset;
    std::uint64_t size;
  };

  void work();
  void bring(const Part& part);
  void run(Transfer& transfer, std::uint64_t part_bytes);

  RemoteStore& store_;
  const int connections_;
  const std::atomic<bool>* cancel_;

  std::mutex mutex_;
  std::condition_variable queued_;
  std::condition_variable finished_;
  std::list<Part> parts_;
  std::set<std::string> whole_only_;  ///< servers that send no parts
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace rechost
