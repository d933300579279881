#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "comm/communicator.h"
#include "kernels/row_precision.h"
#include "train/slice_plan.h"

namespace rechost {

/// Elements of a bucket: a MiB costs no more for each byte than more would. Each rank gets its part of one in a message, of no less than 128 KiB, or many
/// ranks would send little but messages.
constexpr std::int64_t gradient_bucket(int ranks) {
  constexpr auto kMebibyte = (std::int64_t{1} << 20U) / static_cast<std::int64_t>(sizeof(float));
  return std::max(kMebibyte, ranks * (kMebibyte / 8));
}

/// How dense gradients go between ranks.
struct DenseWire {
  RowPrecision precision = RowPrecision::kFp32;  ///< not kInt8
  std::vector<std::string> parameters;           ///< names, for errors

  /// By which gradients are larger on the wire: fp16 has few bits for those below 6e-5. The usual factor of training in fp16.
  float scale() const { return precision == RowPrecision::kFp16 ? 1024.0F : 1.0F; }
};

/// Sums the gradients of the dense parameters over the slices of a batch, and so over the ranks.
///
/// One slice a rank: an all-reduce in place, of many gradients in buckets, each as soon as the backward pass has made it, by a thread of its own. The
/// last parameters' bucket goes first, whatever the order in which they are ready, so all ranks reduce the same at the same time. Several slices: each
/// rank adds up one part of the parameters, slice after slice, and all get all parts. The sum has the same bits however the slices are spread over
/// ranks, and with or without buckets. Terms and sums of 16 bits on the wire are rounded once each, those that a rank keeps as well; a sum is made in
/// fp32. Error where one is too large for that; what is no number stays none.
class DenseGradients {
 public:
  /// `gradients`: what the model's backward pass writes; it holds the sum after reduce(). Borrowed. `first_of_parameter`: where those of each parameter
  /// begin, ascending; `wire.parameters` in the same order. Nobody else uses the communicator between the first ready() of a step and the end of reduce().
  DenseGradients(Communicator& communicator, const SlicePlan& plan, std::span<float> gradients, std::vector<std::int64_t> first_of_parameter,
                 DenseWire wire = {});
  /// After an error: ends a bucket that is under way by abort().
  ~DenseGradients();
  DenseGradients(const DenseGradients&) = delete;  // its thread refers to it
  DenseGradients& operator=(const DenseGradients&) = delete;

  /// In the backward pass: the gradients of parameters [first, first + count) are final. Need not be called. One thread at a time.
  void ready(std::uint32_t first, std::uint32_t count);
  /// After the backward pass of a slice: keeps what it wrote.
  void keep(std::size_t slice);
  /// A slice without samples.
  void keep_zeros(std::size_t slice);
  /// All ranks together, after all slices.
  void reduce();

 private:
  struct Bucket {
    std::int64_t begin = 0;  ///< elements
    std::int64_t end = 0;
    std::uint32_t parameters = 0;
    std::uint32_t missing = 0;  ///< parameters that are not ready
  };

  std::span<float> kept(std::size_t slice) { return std::span(kept_).subspan(slice * gradients_.size(), gradients_.size()); }
  void make_buckets();
  void mark_ready(std::uint32_t parameter);
  void reduce_buckets();
  void wait_for_buckets();
  void reduce_kept();
  bool is_narrow() const { return wire_.precision != RowPrecision::kFp32; }
  void sum(std::span<float> gradients);
  void sum_narrow(std::span<float> gradients);
  /// Gradients from the element `first` on, for the wire.
  void narrow(std::span<const float> from, std::int64_t first, std::uint16_t* to);
  void widen(std::span<const std::uint16_t> from, float* to) const;
  /// Terms of `size` numbers each, one after another: their sum, in the place of the first.
  void add_terms(std::size_t size, std::size_t terms);
  void send_sums(std::span<const float> own, std::int64_t own_first, std::span<const std::int64_t> part_floats, std::span<float> to);

  Communicator& communicator_;
  SlicePlan plan_;
  std::span<float> gradients_;
  std::vector<std::int64_t> first_of_parameter_;
  std::vector<float> kept_;                ///< [count, gradients]; empty with one slice a rank
  std::vector<std::int64_t> part_begin_;   ///< [ranks + 1] first element of each rank's part
  std::vector<float> sent_;
  std::vector<float> received_;
  DenseWire wire_;
  std::vector<float> scaled_;
  std::vector<std::uint16_t> sent_halves_;
  std::vector<std::uint16_t> received_halves_;

  std::vector<Bucket> buckets_;  ///< in the order in which they are reduced; fewer than two: there is no thread
  std::vector<std::uint32_t> bucket_of_;  ///< by parameter
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<bool> is_ready_;     ///< by parameter
  std::size_t reducible_ = 0;      ///< buckets that are ready, with all before them
  std::size_t reduced_ = 0;
  bool busy_ = false;
  bool stopping_ = false;
  std::exception_ptr failure_;
  std::thread thread_;
};

}  // namespace rechost
