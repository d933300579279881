#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "base/thread_pool.h"

namespace rechost {

/// Runs work(index, scratch) for 0 <= index < count on all threads, then in_order(index, scratch) strictly in order of the index and one at
/// a time, then after(index, scratch) on all threads again. Whatever in_order sees and throws is therefore the same for any number of
/// threads; an exception of work() is rethrown at its turn. `Scratch` is reused: at most one per thread.
template <typename Scratch>
class OrderedChunks {
 public:
  using Body = std::function<void(std::int64_t index, Scratch& scratch)>;

  OrderedChunks(ThreadPool& pool, std::function<std::unique_ptr<Scratch>()> make_scratch)
      : pool_(pool), make_scratch_(std::move(make_scratch)) {}

  void run(std::int64_t count, const Body& work, const Body& in_order, const Body& after) {
    next_ = 0;
    failed_ = false;
    pool_.parallel_for(count, [&](std::int64_t index) {
      std::unique_ptr<Scratch> scratch = take();
      std::exception_ptr failure;
      try {
        work(index, *scratch);
      } catch (...) {
        failure = std::current_exception();
      }
      {
        const Turn turn(*this, index);
        if (!turn.mine()) return;  // an earlier chunk has failed: that is the one to hear about
        if (failure) std::rethrow_exception(failure);
        in_order(index, *scratch);
        turn.succeed();
      }
      after(index, *scratch);
      give_back(std::move(scratch));
    });
  }

 private:
  /// Waits for its turn; passes it on, or stops everybody when it was not declared a success.
  class Turn {
   public:
    Turn(OrderedChunks& owner, std::int64_t index) : owner_(owner) {
      std::unique_lock lock(owner_.mutex_);
      owner_.turn_.wait(lock, [&] { return owner_.failed_ || owner_.next_ == index; });
      mine_ = !owner_.failed_;
    }
    ~Turn() {
      if (!mine_) return;
      {
        const std::lock_guard lock(owner_.mutex_);
        if (succeeded_) {
          ++owner_.next_;
        } else {
          owner_.failed_ = true;
        }
      }
      owner_.turn_.notify_all();
    }
    Turn(const Turn&) = delete;  // one turn
    Turn& operator=(const Turn&) = delete;
    bool mine() const { return mine_; }
    void succeed() const { succeeded_ = true; }

   private:
    OrderedChunks& owner_;
    bool mine_ = false;
    mutable bool succeeded_ = false;
  };

  std::unique_ptr<Scratch> take() {
    {
      const std::lock_guard lock(mutex_);
      if (!free_.empty()) {
        std::unique_ptr<Scratch> scratch = std::move(free_.back());
        free_.pop_back();
        return scratch;
      }
    }
    return make_scratch_();
  }

  void give_back(std::unique_ptr<Scratch> scratch) {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(scratch));
  }

  ThreadPool& pool_;
  const std::function<std::unique_ptr<Scratch>()> make_scratch_;
  std::mutex mutex_;
  std::condition_variable turn_;
  std::int64_t next_ = 0;
  bool failed_ = false;
  std::vector<std::unique_ptr<Scratch>> free_;
};

}  // namespace rechost
