#include "train/buffer_average.h"

#include <algorithm>

namespace rechost {

BufferAverage::BufferAverage(Communicator& communicator, const SlicePlan& plan, std::span<float> values)
    : communicator_(communicator),
      values_(values),
      before_(values.size()),
      terms_(static_cast<std::size_t>(plan.count) * term_floats()),
      all_terms_(static_cast<std::size_t>(plan.slices) * term_floats()) {
  std::vector<std::int64_t> slices;
  for (int rank = 0; rank < communicator.world_size(); ++rank) {
    const PositionRange own = share_of(plan.slices, {rank, communicator.world_size()});
    slices.push_back(own.end - own.begin);
  }
  rank_bytes_ = in_bytes(slices, static_cast<std::int64_t>(term_floats() * sizeof(float)));
}

void BufferAverage::begin() {
  std::copy(values_.begin(), values_.end(), before_.begin());
  std::fill(terms_.begin(), terms_.end(), 0.0F);
}

void BufferAverage::keep(std::size_t slice) {
  float* const term = terms_.data() + slice * term_floats();
  *term = 1.0F;
  std::copy(values_.begin(), values_.end(), term + 1);
  std::copy(before_.begin(), before_.end(), values_.begin());
}

void BufferAverage::finish() {
  communicator_.all_gather(std::as_bytes(std::span(terms_)), rank_bytes_, std::as_writable_bytes(std::span(all_terms_)));
  // In double precision, in which counts of batches, too, are exact; in the order of the slices.
  std::vector<double> sums(values_.size(), 0.0);
  double slices = 0.0;
  for (std::size_t term = 0; term < all_terms_.size(); term += term_floats()) {
    if (all_terms_[term] == 0.0F) continue;
    slices += 1.0;
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += static_cast<double>(all_terms_[term + 1 + i]);
  }
  if (slices == 0.0) return;
  std::transform(sums.begin(), sums.end(), values_.begin(), [slices](double sum) { return static_cast<float>(sum / slices); });
}

}  // namespace rechost
