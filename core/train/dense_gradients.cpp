#include "train/dense_gradients.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "base/trace.h"

namespace rechost {

DenseGradients::DenseGradients(Communicator& communicator, const SlicePlan& plan, std::span<float> gradients, std::vector<std::int64_t> first_of_parameter,
                               DenseWire wire)
    : communicator_(communicator), plan_(plan), gradients_(gradients), first_of_parameter_(std::move(first_of_parameter)), wire_(std::move(wire)) {
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
      sum(gradients_.subspan(static_cast<std::size_t>(bucket.begin), static_cast<std::size_t>(bucket.end - bucket.begin)));
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
    sum(gradients_);
  }
}

void DenseGradients::sum(std::span<float> gradients) {
  if (is_narrow()) {
    sum_narrow(gradients);
  } else {
    communicator_.all_reduce_sum(gradients);
  }
}

void DenseGradients::narrow(std::span<const float> from, std::int64_t first, std::uint16_t* to) {
  scaled_.resize(from.size());
  for (std::size_t i = 0; i < from.size(); ++i) scaled_[i] = from[i] * wire_.scale();
  const auto count = static_cast<std::int64_t>(from.size());
  std::int64_t done = 0;
  while ((done += narrow_values(wire_.precision, scaled_.data() + done, count - done, to + done)) < count) {
    const float value = from[static_cast<std::size_t>(done)];
    if (std::isfinite(value)) {
      const auto after = std::upper_bound(first_of_parameter_.begin(), first_of_parameter_.end(), first + done);
      fail<Error>("a gradient of \"{}\" has the value {}, and comm.wire_precision = \"{}\" carries dense gradients up to {}: set it to \"{}\"",
                  wire_.parameters[static_cast<std::size_t>(after - first_of_parameter_.begin()) - 1], value, row_precision_name(wire_.precision),
                  largest_value(wire_.precision) / wire_.scale(), wire_.precision == RowPrecision::kFp16 ? "bf16" : "fp32");
    }
    // All bits of the exponent and one more: no number, to all ranks, which end by it with the name of what is none.
    to[done++] = 0x7FFF;
  }
}

void DenseGradients::widen(std::span<const std::uint16_t> from, float* to) const {
  widen_values(wire_.precision, from.data(), static_cast<std::int64_t>(from.size()), to);
  for (std::size_t i = 0; i < from.size(); ++i) to[i] /= wire_.scale();
}

void DenseGradients::add_terms(std::size_t size, std::size_t terms) {
  for (std::size_t term = 1; term < terms; ++term) {
    const float* const more = received_.data() + term * size;
    for (std::size_t i = 0; i < size; ++i) received_[i] += more[i];
  }
}

/// All ranks' parts to all ranks. `own`: this rank's, which begins at the element `own_first`.
void DenseGradients::send_sums(std::span<const float> own, std::int64_t own_first, std::span<const std::int64_t> part_floats, std::span<float> to) {
  if (!is_narrow()) {
    communicator_.all_gather(std::as_bytes(own), in_bytes(part_floats, sizeof(float)), std::as_writable_bytes(to));
    return;
  }
  sent_halves_.resize(own.size());
  received_halves_.resize(to.size());
  narrow(own, own_first, sent_halves_.data());
  communicator_.all_gather(std::as_bytes(std::span(sent_halves_)), in_bytes(part_floats, sizeof(std::uint16_t)), std::as_writable_bytes(std::span(received_halves_)));
  widen(received_halves_, to.data());
}

/// As Communicator::all_reduce_sum(), with 16 bits on the wire.
void DenseGradients::sum_narrow(std::span<float> gradients) {
  const int ranks = communicator_.world_size();
  const auto first = gradients.data() - gradients_.data();
  std::vector<std::int64_t> parts;
  for (int rank = 0; rank < ranks; ++rank) {
    const PositionRange part = share_of(static_cast<std::int64_t>(gradients.size()), {rank, ranks});
    parts.push_back(part.end - part.begin);
  }
  const PositionRange own = share_of(static_cast<std::int64_t>(gradients.size()), {communicator_.rank(), ranks});
  const auto size = static_cast<std::size_t>(own.end - own.begin);
  sent_halves_.resize(gradients.size());
  received_halves_.resize(size * static_cast<std::size_t>(ranks));
  received_.resize(received_halves_.size());
  narrow(gradients, first, sent_halves_.data());
  const std::vector<std::int64_t> from_each(static_cast<std::size_t>(ranks), own.end - own.begin);
  communicator_.all_to_all(std::as_bytes(std::span(sent_halves_)), in_bytes(parts, sizeof(std::uint16_t)), std::as_writable_bytes(std::span(received_halves_)),
                           in_bytes(from_each, sizeof(std::uint16_t)));
  widen(received_halves_, received_.data());
  add_terms(size, static_cast<std::size_t>(ranks));
  send_sums(std::span(received_).first(size), first + own.begin, parts, gradients);
}

void DenseGradients::reduce_kept() {
  const auto ranks = static_cast<std::size_t>(communicator_.world_size());
  const auto own = static_cast<std::size_t>(communicator_.rank());
  const auto part_size = [&](std::size_t rank) { return part_begin_[rank + 1] - part_begin_[rank]; };
  std::vector<std::int64_t> send;
  std::vector<std::int64_t> receive;
  std::vector<std::int64_t> parts;
  sent_.clear();
  sent_halves_.clear();
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    for (std::size_t slice = 0; slice < static_cast<std::size_t>(plan_.count); ++slice) {
      const std::span<float> part = kept(slice).subspan(static_cast<std::size_t>(part_begin_[rank]), static_cast<std::size_t>(part_size(rank)));
      if (is_narrow()) {
        sent_halves_.resize(sent_halves_.size() + part.size());
        narrow(part, part_begin_[rank], sent_halves_.data() + sent_halves_.size() - part.size());
      } else {
        sent_.insert(sent_.end(), part.begin(), part.end());
      }
    }
    const PositionRange slices = share_of(plan_.slices, {static_cast<int>(rank), communicator_.world_size()});
    send.push_back(part_size(rank) * plan_.count);
    receive.push_back(part_size(own) * (slices.end - slices.begin));
    parts.push_back(part_size(rank));
  }
  const auto size = static_cast<std::size_t>(part_size(own));
  received_.resize(size * static_cast<std::size_t>(plan_.slices));
  if (is_narrow()) {
    received_halves_.resize(received_.size());
    communicator_.all_to_all(std::as_bytes(std::span(sent_halves_)), in_bytes(send, sizeof(std::uint16_t)), std::as_writable_bytes(std::span(received_halves_)),
                             in_bytes(receive, sizeof(std::uint16_t)));
    widen(received_halves_, received_.data());
  } else {
    communicator_.all_to_all(std::as_bytes(std::span(sent_)), in_bytes(send, sizeof(float)), std::as_writable_bytes(std::span(received_)), in_bytes(receive, sizeof(float)));
  }
  // Ranks and their slices ascend, so the parts lie in the order of the slices.
  add_terms(size, static_cast<std::size_t>(plan_.slices));
  send_sums(std::span(received_).first(size), part_begin_[own], parts, gradients_);
}

}  // namespace rechost
