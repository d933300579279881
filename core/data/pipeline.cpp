#include "data/pipeline.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/error.h"
#include "base/time.h"

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

void BatchPipeline::fill(std::int64_t step, BatchShare share, std::vector<std::int64_t>& samples, Batch& batch) const {
  const EpochStep place = order_.locate(step);
  order_.batch(place, share, samples);
  dataset_.gather(samples, batch);
  batch.step = step;
  batch.epoch = place.epoch;
  batch.global_rows = order_.batch_rows(place);
  batch.first_row = share_of(batch.global_rows, share).begin;
}

void BatchPipeline::work() {
  std::vector<std::int64_t> samples;
  const auto slot_count = static_cast<std::int64_t>(slots_.size());
  for (;;) {
    std::int64_t number = 0;
    {
      std::unique_lock lock(mutex_);
      freed_.wait(lock, [&] { return stopping_ || claimed_ >= count_ || claimed_ < released_ + slot_count; });
      if (stopping_ || claimed_ >= count_) return;
      number = claimed_++;
    }
    const std::int64_t step = settings_.first_step + number * settings_.stride;
    const auto slot_index = static_cast<std::size_t>(number % slot_count);
    Slot& slot = slots_[slot_index];
    try {
      if (read_ahead_ != nullptr) read_ahead_->begin(number);
      for (int i = 0; i < settings_.slice_count; ++i) {
        Batch& batch = slot.slices[static_cast<std::size_t>(i)];
        fill(step, {settings_.first_slice + i, settings_.slices}, samples, batch);
        if (stage_) stage_(batch, static_cast<int>(slot_index) * settings_.slice_count + i);
      }
    } catch (...) {
      slot.failure = std::current_exception();
    }
    {
      const std::lock_guard lock(mutex_);
      slot.ready = true;
    }
    ready_.notify_one();
  }
}

bool BatchPipeline::next(std::span<Batch> slices) {
  last_wait_seconds_ = 0.0;
  std::unique_lock lock(mutex_);
  if (released_ < delivered_) {  // the caller is done with the batch before
    ++released_;
    freed_.notify_one();
  }
  if (delivered_ >= count_) return false;
  if (slices.size() != static_cast<std::size_t>(settings_.slice_count)) fail("{} batches for {} slices", slices.size(), settings_.slice_count);
  const auto slot_index = static_cast<std::size_t>(delivered_ % static_cast<std::int64_t>(slots_.size()));
  Slot& slot = slots_[slot_index];
  if (!slot.ready) {
    const auto begin = std::chrono::steady_clock::now();
    ready_.wait(lock, [&] { return slot.ready; });
    last_wait_seconds_ = seconds_since(begin);
    wait_seconds_ += last_wait_seconds_;
  }
  // A failed step stays where it is: asking again fails again.
  if (slot.failure) std::rethrow_exception(slot.failure);
  slot.ready = false;
  std::swap_ranges(slices.begin(), slices.end(), slot.slices.begin());
  delivered_slot_ = static_cast<int>(slot_index);
  ++delivered_;
  return true;
}

}  // namespace rechost
