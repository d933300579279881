#include "train/dense_gradients.h"

#include <algorithm>

namespace rechost {

DenseGradients::DenseGradients(Communicator& communicator, const SlicePlan& plan, std::span<float> gradients)
    : communicator_(communicator), plan_(plan), gradients_(gradients) {
  if (plan.slices == communicator.world_size()) return;
  kept_.resize(static_cast<std::size_t>(plan.count) * gradients.size());
  for (int rank = 0; rank <= communicator.world_size(); ++rank) {
    part_begin_.push_back(share_of(static_cast<std::int64_t>(gradients.size()), {rank, communicator.world_size()}).begin);
  }
}

void DenseGradients::keep(std::size_t slice) {
  if (!kept_.empty()) std::copy(gradients_.begin(), gradients_.end(), kept(slice).begin());
}

void DenseGradients::keep_zeros(std::size_t slice) {
  const std::span<float> to = kept_.empty() ? gradients_ : kept(slice);
  std::fill(to.begin(), to.end(), 0.0F);
}

void DenseGradients::reduce() {
  if (kept_.empty()) {
    if (communicator_.world_size() > 1) communicator_.all_reduce_sum(gradients_);
    return;
  }
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
