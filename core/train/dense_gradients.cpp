#include "train/dense_gradients.h"

#include <algorithm>
#include <utility>

#include "base/trace.h"

namespace rechost {

DenseGradients::DenseGradients(Communicator& communicator, const SlicePlan& plan, std::span<float> gradients, std::vector<std::int64_t> first_of_parameter)
    : communicator_(communicator), plan_(plan), gradients_(gradients), first_of_parameter_(std::move(first_of_parameter)) {
  if (plan.slices == communicator.world_size()) {
    if (communicator.world_size() > 1) make_buckets();
    return;
  }
  kept_.resize(static_cast<std::size_t>(plan.count) * gradients.size());
  for (int rank = 0; rank <= communicator.world_size(); ++rank) {
    part_begin_.push_back(share_of(static_cast<std::int64_t>(gradients.size()), {rank, communicator.world_size()}).begin);
  }
}

DenseGradients::~DenseGradients() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    if (busy_) communicator_.abort();
  }
  changed_.notify_all();
  thread_.join();
}

void DenseGradients::make_buckets() {
  const std::int64_t least = gradient_bucket(communicator_.world_size());
  bucket_of_.resize(first_of_parameter_.size());
  is_ready_.resize(first_of_parameter_.size());
  auto end = static_cast<std::int64_t>(gradients_.size());
  Bucket bucket{.end = end};
  for (std::size_t parameter = first_of_parameter_.size(); parameter-- > 0;) {
    bucket_of_[parameter] = static_cast<std::uint32_t>(buckets_.size());
    ++bucket.parameters;
    bucket.begin = parameter == 0 ? 0 : first_of_parameter_[parameter];
    if (bucket.end - bucket.begin < least && parameter != 0) continue;
    bucket.missing = bucket.parameters;
    buckets_.push_back(bucket);
    bucket = {.end = bucket.begin};
  }
  if (buckets_.size() > 1) thread_ = std::thread([this] { reduce_buckets(); });
}

void DenseGradients::mark_ready(std::uint32_t parameter) {
  if (is_ready_[parameter]) return;
  is_ready_[parameter] = true;
  --buckets_[bucket_of_[parameter]].missing;
  while (reducible_ < buckets_.size() && buckets_[reducible_].missing == 0) ++reducible_;
}

void DenseGradients::ready(std::uint32_t first, std::uint32_t count) {
  if (!thread_.joinable()) return;
  bool more = false;
  {
    const std::lock_guard lock(mutex_);
    const std::size_t before = reducible_;
    for (std::uint32_t parameter = first; parameter < first + count; ++parameter) mark_ready(parameter);
    more = reducible_ > before;
  }
  if (more) changed_.notify_all();
}

/// Of the thread.
void DenseGradients::reduce_buckets() {
  name_traced_thread("dense reduce");
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stopping_ || (reduced_ < reducible_ && !failure_); });
    if (stopping_) return;
    const Bucket& bucket = buckets_[reduced_];
    busy_ = true;
    lock.unlock();
    std::exception_ptr failure;
    try {
      communicator_.all_reduce_sum(gradients_.subspan(static_cast<std::size_t>(bucket.begin), static_cast<std::size_t>(bucket.end - bucket.begin)));
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    busy_ = false;
    failure_ = failure;
    ++reduced_;
    changed_.notify_all();
  }
}

void DenseGradients::wait_for_buckets() {
  ready(0, static_cast<std::uint32_t>(is_ready_.size()));
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return failure_ || reduced_ == buckets_.size(); });
  if (failure_) std::rethrow_exception(failure_);
  // For the next step.
  reducible_ = reduced_ = 0;
  is_ready_.assign(is_ready_.size(), false);
  for (Bucket& bucket : buckets_) bucket.missing = bucket.parameters;
}

void DenseGradients::keep(std::size_t slice) {
  if (!kept_.empty()) std::copy(gradients_.begin(), gradients_.end(), kept(slice).begin());
}

void DenseGradients::keep_zeros(std::size_t slice) {
  const std::span<float> to = kept_.empty() ? gradients_ : kept(slice);
  std::fill(to.begin(), to.end(), 0.0F);
}

void DenseGradients::reduce() {
  if (!kept_.empty()) {
    reduce_kept();
  } else if (thread_.joinable()) {
    wait_for_buckets();
  } else if (communicator_.world_size() > 1) {
    communicator_.all_reduce_sum(gradients_);
  }
}

void DenseGradients::reduce_kept() {
  const auto ranks = static_cast<std::size_t>(communicator_.world_size());
  const auto own = static_cast<std::size_t>(communicator_.rank());
  const auto part_size = [&](std::size_t rank) { return part_begin_[rank + 1] - part_begin_[rank]; };
  const auto bytes = [](std::int64_t floats) { return floats * static_cast<std::int64_t>(sizeof(float)); };
  std::vector<std::int64_t> send_bytes;
  std::vector<std::int64_t> receive_bytes;
  std::vector<std::int64_t> part_bytes;
  sent_.clear();
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    for (std::size_t slice = 0; slice < static_cast<std::size_t>(plan_.count); ++slice) {
      const std::span<float> part = kept(slice).subspan(static_cast<std::size_t>(part_begin_[rank]), static_cast<std::size_t>(part_size(rank)));
      sent_.insert(sent_.end(), part.begin(), part.end());
    }
    const PositionRange slices = share_of(plan_.slices, {static_cast<int>(rank), communicator_.world_size()});
    send_bytes.push_back(bytes(part_size(rank) * plan_.count));
    receive_bytes.push_back(bytes(part_size(own) * (slices.end - slices.begin)));
    part_bytes.push_back(bytes(part_size(rank)));
  }
  const auto size = static_cast<std::size_t>(part_size(own));
  received_.resize(size * static_cast<std::size_t>(plan_.slices));
  communicator_.all_to_all(std::as_bytes(std::span(sent_)), send_bytes, std::as_writable_bytes(std::span(received_)), receive_bytes);
  // Ranks and their slices ascend, so the parts lie in the order of the slices.
  const std::span<float> sum = std::span(received_).first(size);
  for (std::size_t slice = 1; slice < static_cast<std::size_t>(plan_.slices); ++slice) {
    const float* const part = received_.data() + slice * size;
    for (std::size_t i = 0; i < size; ++i) sum[i] += part[i];
  }
  communicator_.all_gather(std::as_bytes(sum), part_bytes, std::as_writable_bytes(gradients_));
}

}  // namespace rechost
