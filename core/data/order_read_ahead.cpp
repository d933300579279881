#include "data/order_read_ahead.h"

#include <algorithm>
#include <exception>
#include <unordered_set>
#include <utility>

#include "base/log.h"

namespace rechost {
namespace {

/// Looked at for each step that begins, until it is far enough: so that the first batch does not wait for a look along a whole epoch.
constexpr int kStepsAtOnce = 8;
/// Of an order that jumps about, chunks of all runs together.
constexpr std::size_t kMostRunChunks = 4096;
/// The data forgets what it was told when somebody else tells it something: evaluation on other rows of the same files.
constexpr int kTellAgain = 16;

}  // namespace

OrderReadAhead::OrderReadAhead(const Dataset& dataset, std::int64_t steps, std::int64_t reach, SamplesOfStep samples_of_step)
    : dataset_(dataset),
      steps_(steps),
      reach_(reach),
      enough_(std::min(dataset.chunk_samples().size(), static_cast<std::size_t>(kChunksAhead))),
      samples_of_step_(std::move(samples_of_step)) {}

OrderReadAhead::~OrderReadAhead() {
  try {
    dataset_.read_ahead({});
  } catch (const std::exception& error) {
    log_warning("read ahead: {}", error.what());
  }
}

void OrderReadAhead::begin(std::int64_t number) {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock) return;  // somebody looks ahead just now
  leave_behind(number);
  for (int i = 0; i < kStepsAtOnce && looked_at_ < std::min(steps_, number + reach_) && uses_.size() < enough_ && run_chunks_ < kMostRunChunks; ++i) {
    look_at_next_step();
  }
  std::vector<std::int64_t> chunks = coming();
  if (chunks == told_ && ++begun_since_told_ < kTellAgain) return;
  begun_since_told_ = 0;
  dataset_.read_ahead(chunks);
  told_ = std::move(chunks);
}

void OrderReadAhead::leave_behind(std::int64_t number) {
  while (!runs_.empty() && runs_.front().end <= number) {
    for (const std::int64_t chunk : runs_.front().chunks) {
      const auto use = uses_.find(chunk);
      if (--use->second == 0) uses_.erase(use);
    }
    run_chunks_ -= runs_.front().chunks.size();
    runs_.pop_front();
  }
  looked_at_ = std::max(looked_at_, number);
}

void OrderReadAhead::look_at_next_step() {
  samples_of_step_(looked_at_, samples_);
  ++looked_at_;
  std::vector<std::int64_t> chunks;
  std::unordered_set<std::int64_t> seen;
  std::int64_t last = -1;
  for (const std::int64_t sample : samples_) {
    const std::int64_t chunk = dataset_.chunk_of(sample, last);
    if (chunk != last && seen.insert(chunk).second) chunks.push_back(chunk);
    last = chunk;
  }
  if (!runs_.empty() && runs_.back().chunks.size() == chunks.size() &&
      std::all_of(runs_.back().chunks.begin(), runs_.back().chunks.end(), [&](std::int64_t chunk) { return seen.contains(chunk); })) {
    runs_.back().end = looked_at_;
    return;
  }
  for (const std::int64_t chunk : chunks) ++uses_[chunk];
  run_chunks_ += chunks.size();
  runs_.push_back({looked_at_, std::move(chunks)});
}

std::vector<std::int64_t> OrderReadAhead::coming() const {
  std::vector<std::int64_t> chunks;
  std::unordered_set<std::int64_t> seen;
  for (const Run& run : runs_) {
    for (const std::int64_t chunk : run.chunks) {
      if (chunks.size() < enough_ && seen.insert(chunk).second) chunks.push_back(chunk);
    }
  }
  return chunks;
}

}  // namespace rechost
