#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "data/batch.h"
#include "data/dataset.h"
#include "data/order.h"
#include "data/order_read_ahead.h"

namespace rechost {

/// Batches of a split in order, assembled ahead by threads of its own. The batches do not depend on `prefetch` and `threads`.
class BatchPipeline {
 public:
  struct Settings {
    int slices = 1;               ///< in how many each global batch is cut ...
    int first_slice = 0;          ///< ... and which of them are delivered:
    int slice_count = 1;          ///< so many from this one on
    std::int64_t first_step = 0;  ///< global step to begin with, see SampleOrder::locate()
    std::int64_t end_step = 0;    ///< one past the last
    std::int64_t stride = 1;      ///< only every so manyth step from the first on
    std::int64_t prefetch = 4;    ///< batches ready or in work ahead of the caller, >= 1
    /// What those may take up together, with what the stage made of them. One is prepared whatever its size. Those in work are reckoned as
    /// the largest that there was so far.
    std::uint64_t prefetch_bytes = std::numeric_limits<std::uint64_t>::max();
    int threads = 1;              ///< >= 1
  };
  /// Runs its argument once all steps before have run theirs, or have been prepared without it. At most once for each step.
  using InOrder = std::function<void(const std::function<void()>&)>;
  /// Runs on a worker after assembly of the slices [slice_count] of a step, for instance to deduplicate ids ahead of it. What it makes it keeps per
  /// place, 0 <= place < places(), that of the first slice and those that follow: they are left alone from here until the call of next() after the one
  /// that delivered them. Returns how many bytes it keeps there. What has to see batches in the order of steps, whatever the number of workers, it
  /// hands to `in_order`, on this thread.
  using Stage = std::function<std::uint64_t(std::span<Batch> slices, int place, const InOrder& in_order)>;

  /// `dataset` outlives the pipeline; `order` was made from its chunk_samples().
  BatchPipeline(const Dataset& dataset, SampleOrder order, const Settings& settings, Stage stage = {});
  /// Ends the threads; waits for a batch in work.
  ~BatchPipeline();
  BatchPipeline(const BatchPipeline&) = delete;  // threads refer to it
  BatchPipeline& operator=(const BatchPipeline&) = delete;

  /// Swaps the slices of the next step with `slices` [slice_count], whose memory is used again; waits when they are not ready. False after
  /// end_step - 1. Rethrows, at its place in the order, what a worker threw. One thread.
  bool next(std::span<Batch> slices);
  bool next(Batch& batch) { return next(std::span(&batch, 1)); }
  /// Of the slice that next() delivered last at this position.
  int place(int slice = 0) const { return delivered_slot_ * settings_.slice_count + slice; }
  /// (prefetch + 1) * slice_count.
  int places() const { return static_cast<int>(slots_.size()) * settings_.slice_count; }
  /// Time that the caller spent waiting in next(): in total, and in the last call.
  double wait_seconds() const { return wait_seconds_; }
  double last_wait_seconds() const { return last_wait_seconds_; }
  /// The most that batches ahead of the caller took up together, and for how many of them workers waited because of `prefetch_bytes`.
  std::uint64_t peak_bytes() const;
  std::int64_t held_back() const;
  const SampleOrder& order() const { return order_; }

 private:
  struct Slot {
    std::vector<Batch> slices;
    bool ready = false;
    std::uint64_t bytes = 0;
    std::exception_ptr failure;
  };

  void work();
  bool fits() const;
  int take_slot();
  void take_turn(std::int64_t number);
  void pass_turn(std::int64_t number);
  void fill(std::int64_t step, BatchShare share, Batch& batch) const;

  const Dataset& dataset_;
  const SampleOrder order_;
  const Settings settings_;
  const Stage stage_;
  std::unique_ptr<OrderReadAhead> read_ahead_;  ///< null: nothing is brought from afar

  std::vector<Slot> slots_;
  mutable std::mutex mutex_;
  std::condition_variable ready_;
  std::condition_variable freed_;
  std::condition_variable turn_passed_;
  std::int64_t turn_ = 0;      ///< the step whose stage may run what goes in order, counted from the first in strides
  std::vector<bool> passed_;   ///< [slots] by step modulo slots: has been prepared before its turn came
  std::int64_t claimed_ = 0;   ///< which step is to be assembled next, counted from the first in strides
  std::vector<int> free_;      ///< slots that no step has
  std::vector<int> slot_of_;   ///< [slots] by step modulo slots: where it is
  std::uint64_t ready_bytes_ = 0;    ///< of batches that wait for the caller
  std::uint64_t largest_bytes_ = 0;  ///< of all batches so far
  bool any_filled_ = false;
  std::uint64_t peak_bytes_ = 0;
  std::int64_t in_work_ = 0;
  std::int64_t held_back_ = 0;
  std::int64_t held_ = -1;      ///< the step counted there last
  std::int64_t delivered_ = 0;  ///< which step is to be delivered next
  bool stopping_ = false;
  std::vector<std::thread> threads_;

  // Of the calling thread:
  std::int64_t count_ = 0;      ///< steps to deliver in all
  int delivered_slot_ = -1;
  double wait_seconds_ = 0.0;
  double last_wait_seconds_ = 0.0;
};

}  // namespace rechost
