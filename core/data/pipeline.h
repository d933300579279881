#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "data/batch.h"
#include "data/dataset.h"
#include "data/order.h"

namespace rechost {

/// Batches of a split in order, assembled ahead by threads of its own. The batches do not depend on `prefetch` and `threads`.
class BatchPipeline {
 public:
  struct Settings {
    BatchShare share;
    std::int64_t first_step = 0;  ///< global step to begin with: epoch = step / steps_per_epoch
    std::int64_t end_step = 0;    ///< one past the last
    std::int64_t prefetch = 4;    ///< batches ready or in work ahead of the caller, >= 1
    int threads = 1;              ///< >= 1
  };
  /// Runs on a worker after assembly, for instance to deduplicate ids ahead of the step. What it makes it keeps per slot,
  /// 0 <= slot < slots(): the slot of a batch is left alone from here until the call of next() after the one that delivered it.
  using Stage = std::function<void(Batch& batch, int slot)>;

  /// `dataset` outlives the pipeline; `order` was made from its chunk_samples().
  BatchPipeline(const Dataset& dataset, SampleOrder order, const Settings& settings, Stage stage = {});
  /// Ends the threads; waits for a batch in work.
  ~BatchPipeline();
  BatchPipeline(const BatchPipeline&) = delete;  // threads refer to it
  BatchPipeline& operator=(const BatchPipeline&) = delete;

  /// Swaps the next batch with `batch`, whose memory is used again; waits when it is not ready. False after end_step - 1. Rethrows, at its
  /// place in the order, what a worker threw. One thread.
  bool next(Batch& batch);
  /// Of the batch that next() delivered last.
  int slot() const { return delivered_slot_; }
  /// prefetch + 1.
  int slots() const { return static_cast<int>(slots_.size()); }
  /// Time that the caller spent waiting in next(): in total, and in the last call.
  double wait_seconds() const { return wait_seconds_; }
  double last_wait_seconds() const { return last_wait_seconds_; }
  const SampleOrder& order() const { return order_; }

 private:
  struct Slot {
    Batch batch;
    bool ready = false;
    std::exception_ptr failure;
  };

  void work();

  const Dataset& dataset_;
  const SampleOrder order_;
  const Settings settings_;
  const Stage stage_;

  std::vector<Slot> slots_;  ///< step s uses slot (s - first_step) % slots
  std::mutex mutex_;
  std::condition_variable ready_;
  std::condition_variable freed_;
  std::int64_t claimed_;   ///< next step to be assembled
  std::int64_t released_;  ///< steps before this one have left their slots
  bool stopping_ = false;
  std::vector<std::thread> threads_;

  // Of the calling thread:
  std::int64_t delivered_;  ///< next step to be delivered
  int delivered_slot_ = -1;
  double wait_seconds_ = 0.0;
  double last_wait_seconds_ = 0.0;
};

}  // namespace rechost
