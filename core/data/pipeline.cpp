#include "data/pipeline.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/error.h"
#include "base/time.h"
#include "base/trace.h"

namespace rechost {

BatchPipeline::BatchPipeline(const Dataset& dataset, SampleOrder order, const Settings& settings, Stage stage)
    : dataset_(dataset),
      order_(std::move(order)),
      settings_(settings),
      stage_(std::move(stage)),
      // One more than is prepared ahead: the batch that the caller works on.
      slots_(static_cast<std::size_t>(std::max<std::int64_t>(settings.prefetch, 1)) + 1),
      count_(std::max<std::int64_t>(0, (settings.end_step - settings.first_step + settings.stride - 1) / settings.stride)) {
  for (Slot& slot : slots_) slot.slices.resize(static_cast<std::size_t>(settings_.slice_count));
  for (int slot = 0; slot < static_cast<int>(slots_.size()); ++slot) free_.push_back(slot);
  slot_of_.resize(slots_.size());
  passed_.resize(slots_.size());
  if (order_.samples() != dataset_.samples()) {
    fail<DataError>("an order of {} samples does not fit {} with {}", order_.samples(), dataset_.name(), dataset_.samples());
  }
  if (settings_.end_step > settings_.first_step && order_.steps_per_epoch() == 0) {
    fail<DataError>("{} has no samples", dataset_.name());
  }
  if (dataset_.remote() && count_ > 0) {
    const auto samples_of_step = [this](std::int64_t number, std::vector<std::int64_t>& samples) {
      const EpochStep place = order_.locate(settings_.first_step + number * settings_.stride);
      samples.clear();
      std::vector<std::int64_t> slice;
      for (int i = 0; i < settings_.slice_count; ++i) {
        order_.batch(place, {settings_.first_slice + i, settings_.slices}, slice);
        samples.insert(samples.end(), slice.begin(), slice.end());
      }
    };
    read_ahead_ = std::make_unique<OrderReadAhead>(dataset_, count_, order_.steps_per_epoch(), samples_of_step);
  }
  const int threads = std::max(settings_.threads, 1);
  threads_.reserve(static_cast<std::size_t>(threads));
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

BatchPipeline::~BatchPipeline() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  freed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

/// All memory that it needs is the batch's: a worker that had nothing to do so far must not begin to allocate.
void BatchPipeline::fill(std::int64_t step, BatchShare share, Batch& batch) const {
  const TraceSpan span("gather samples", step + 1);
  const EpochStep place = order_.locate(step);
  order_.batch(place, share, batch.samples);
  dataset_.gather(batch.samples, batch);
  batch.step = step;
  batch.epoch = place.epoch;
  batch.global_rows = order_.batch_rows(place);
  batch.first_row = share_of(batch.global_rows, share).begin;
}

bool BatchPipeline::fits() const {
  if (claimed_ == delivered_) return true;  // nothing is ahead
  // Before the first batch is there nobody knows what one takes up.
  const auto in_work = static_cast<std::uint64_t>(in_work_) + 1;
  if (!any_filled_) return settings_.prefetch_bytes == std::numeric_limits<std::uint64_t>::max();
  return largest_bytes_ <= settings_.prefetch_bytes / in_work && ready_bytes_ <= settings_.prefetch_bytes - in_work * largest_bytes_;
}

/// In turns, so that each place has soon seen the longest batch and grows no more. When there is not room for all, the one used last: the memory of
/// a place stays with it.
int BatchPipeline::take_slot() {
  const auto taken = held_back_ == 0 ? free_.begin() : free_.end() - 1;
  const int slot = *taken;
  free_.erase(taken);
  return slot;
}

/// Waits for the steps before, which are all in work or prepared: none of them waits for this one.
void BatchPipeline::take_turn(std::int64_t number) {
  std::unique_lock lock(mutex_);
  turn_passed_.wait(lock, [&] { return turn_ == number; });
}

/// Called once for each step. Steps that had nothing to do in order come out of turn.
void BatchPipeline::pass_turn(std::int64_t number) {
  const auto slot_count = static_cast<std::int64_t>(slots_.size());
  {
    const std::lock_guard lock(mutex_);
    passed_[static_cast<std::size_t>(number % slot_count)] = true;
    for (; passed_[static_cast<std::size_t>(turn_ % slot_count)]; ++turn_) passed_[static_cast<std::size_t>(turn_ % slot_count)] = false;
  }
  turn_passed_.notify_all();
}

void BatchPipeline::work() {
  name_traced_thread("batches ahead");
  const auto slot_count = static_cast<std::int64_t>(slots_.size());
  for (;;) {
    std::int64_t number = 0;
    int slot_index = 0;
    {
      std::unique_lock lock(mutex_);
      freed_.wait(lock, [&] {
        if (stopping_ || claimed_ >= count_) return true;
        if (free_.empty()) return false;
        if (fits()) return true;
        if (any_filled_ && std::exchange(held_, claimed_) != claimed_) ++held_back_;
        return false;
      });
      if (stopping_ || claimed_ >= count_) return;
      number = claimed_++;
      slot_index = take_slot();
      slot_of_[static_cast<std::size_t>(number % slot_count)] = slot_index;
      ++in_work_;
    }
    const std::int64_t step = settings_.first_step + number * settings_.stride;
    Slot& slot = slots_[static_cast<std::size_t>(slot_index)];
    slot.bytes = 0;
    bool passed = false;
    try {
      if (read_ahead_ != nullptr) read_ahead_->begin(number);
      for (int i = 0; i < settings_.slice_count; ++i) {
        Batch& batch = slot.slices[static_cast<std::size_t>(i)];
        fill(step, {settings_.first_slice + i, settings_.slices}, batch);
        slot.bytes += memory_bytes(batch);
      }
      const auto in_order = [&](const std::function<void()>& task) {
        take_turn(number);
        task();
        passed = true;
        pass_turn(number);
      };
      if (stage_) slot.bytes += stage_(slot.slices, slot_index * settings_.slice_count, std::ref(in_order));  // by reference: nothing is allocated
    } catch (...) {
      slot.failure = std::current_exception();
    }
    if (!passed) pass_turn(number);
    {
      const std::lock_guard lock(mutex_);
      slot.ready = true;
      --in_work_;
      ready_bytes_ += slot.bytes;
      peak_bytes_ = std::max(peak_bytes_, ready_bytes_);
      largest_bytes_ = std::max(largest_bytes_, slot.bytes);
      any_filled_ = true;
    }
    ready_.notify_one();
    freed_.notify_all();  // what one takes up is known now
  }
}

std::uint64_t BatchPipeline::peak_bytes() const {
  const std::lock_guard lock(mutex_);
  return peak_bytes_;
}

std::int64_t BatchPipeline::held_back() const {
  const std::lock_guard lock(mutex_);
  return held_back_;
}

bool BatchPipeline::next(std::span<Batch> slices) {
  last_wait_seconds_ = 0.0;
  std::unique_lock lock(mutex_);
  if (delivered_slot_ >= 0) {  // the caller is done with the batch before
    free_.push_back(std::exchange(delivered_slot_, -1));
    freed_.notify_all();
  }
  if (delivered_ >= count_) return false;
  if (slices.size() != static_cast<std::size_t>(settings_.slice_count)) fail("{} batches for {} slices", slices.size(), settings_.slice_count);
  const auto is_ready = [&] {
    return claimed_ > delivered_ && slots_[static_cast<std::size_t>(slot_of_[static_cast<std::size_t>(delivered_ % static_cast<std::int64_t>(slots_.size()))])].ready;
  };
  if (!is_ready()) {
    const auto begin = std::chrono::steady_clock::now();
    ready_.wait(lock, is_ready);
    last_wait_seconds_ = seconds_since(begin);
    wait_seconds_ += last_wait_seconds_;
  }
  const int slot_index = slot_of_[static_cast<std::size_t>(delivered_ % static_cast<std::int64_t>(slots_.size()))];
  Slot& slot = slots_[static_cast<std::size_t>(slot_index)];
  // A failed step stays where it is: asking again fails again.
  if (slot.failure) std::rethrow_exception(slot.failure);
  slot.ready = false;
  ready_bytes_ -= slot.bytes;
  std::swap_ranges(slices.begin(), slices.end(), slot.slices.begin());
  delivered_slot_ = slot_index;
  ++delivered_;
  freed_.notify_all();
  return true;
}

}  // namespace rechost
