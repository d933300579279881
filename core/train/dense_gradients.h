#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "comm/communicator.h"
#include "train/slice_plan.h"

namespace rechost {

/// Sums the gradients of the dense parameters over the slices of a batch, and so over the ranks.
///
/// One slice a rank: an all-reduce in place. Several: each rank adds up one part of the parameters, slice after slice, and all get all
/// parts; the sum has the same bits however the slices are spread over ranks.
class DenseGradients {
 public:
  /// `gradients`: what the model's backward pass writes; it holds the sum after reduce(). Borrowed.
  DenseGradients(Communicator& communicator, const SlicePlan& plan, std::span<float> gradients);

  /// After the backward pass of a slice: keeps what it wrote.
  void keep(std::size_t slice);
  /// A slice without samples.
  void keep_zeros(std::size_t slice);
  /// All ranks together, after all slices.
  void reduce();

 private:
  std::span<float> kept(std::size_t slice) { return std::span(kept_).subspan(slice * gradients_.size(), gradients_.size()); }

  Communicator& communicator_;
  SlicePlan plan_;
  std::span<float> gradients_;
  std::vector<float> kept_;                ///< [count, gradients]; empty with one slice a rank
  std::vector<std::int64_t> part_begin_;   ///< [ranks + 1] first element of each rank's part
  std::vector<float> sent_;
  std::vector<float> received_;
};

}  // namespace rechost
