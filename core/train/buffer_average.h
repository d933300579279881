#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "comm/communicator.h"
#include "train/slice_plan.h"

namespace rechost {

/// A model's buffers, such as the running statistics of batch normalisation, where a batch is cut into slices: each slice begins with those of the
/// step before, and after the step they are the mean of what the slices have made of them. The same bits on all ranks, and however the slices are spread
/// over ranks. (PyTorch's DistributedDataParallel takes those of rank 0.)
class BufferAverage {
 public:
  /// `values`: what the model reads and writes. Borrowed.
  BufferAverage(Communicator& communicator, const SlicePlan& plan, std::span<float> values);

  /// Before the first slice of a step.
  void begin();
  /// After one of this rank's slices, which had samples.
  void keep(std::size_t slice);
  /// All ranks together, after all slices. Without any slice that had samples the values stay as they were.
  void finish();

 private:
  std::size_t term_floats() const { return 1 + values_.size(); }

  Communicator& communicator_;
  std::span<float> values_;
  std::vector<float> before_;
  std::vector<float> terms_;            ///< [own slices, 1 + values]: 1 where the slice had samples, then what it made of the values
  std::vector<float> all_terms_;        ///< [slices, 1 + values]
  std::vector<std::int64_t> rank_bytes_;  ///< of all_terms_
};

}  // namespace rechost
