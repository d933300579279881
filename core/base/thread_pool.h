#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace rechost {

/// A fixed set of threads that share loops. The calling thread works too: a pool of size 1 has no threads and costs nothing.
class ThreadPool {
 public:
  /// `size` counts the caller: size - 1 threads are started.
  explicit ThreadPool(int size);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;  // threads refer to it
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return size_; }

  /// Runs body(index) for 0 <= index < count, each index once, on any thread; returns when all are done. Indices are handed out one by
  /// one, so make each worth some microseconds. The first exception of a body is rethrown here after all have ended. Not re-entrant.
  void parallel_for(std::int64_t count, const std::function<void(std::int64_t index)>& body);

 private:
  void work();
  void run_indices();

  const int size_;
  std::vector<std::thread> threads_;
  std::mutex mutex_;
  std::condition_variable start_;
  std::condition_variable done_;
  const std::function<void(std::int64_t)>* body_ = nullptr;
  std::int64_t count_ = 0;
  std::atomic<std::int64_t> next_{0};
  int busy_ = 0;
  std::uint64_t round_ = 0;
  bool stopping_ = false;
  std::exception_ptr failure_;
};

}  // namespace rechost
