#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "data/dataset.h"

namespace rechost {

/// Looks along the order of a pipeline, further than batches are assembled, and tells the data which chunks come next. It works for every
/// order, because it asks for nothing but the samples of a step; in the long run it looks at each step once.
class OrderReadAhead {
 public:
  /// Replaces `samples` by those of the n-th step of the pipeline. Any thread.
  using SamplesOfStep = std::function<void(std::int64_t number, std::vector<std::int64_t>& samples)>;

  /// `steps`: there are so many; never more than `reach` of them are looked at ahead. `dataset` outlives this object.
  OrderReadAhead(const Dataset& dataset, std::int64_t steps, std::int64_t reach, SamplesOfStep samples_of_step);
  /// Nothing comes any more.
  ~OrderReadAhead();
  OrderReadAhead(const OrderReadAhead&) = delete;  // takes back at its end what it has told
  OrderReadAhead& operator=(const OrderReadAhead&) = delete;

  /// The calling thread is about to assemble this step. Any thread; waits for nobody.
  void begin(std::int64_t number);

 private:
  /// Neighbouring steps that read the same chunks.
  struct Run {
    std::int64_t end = 0;  ///< one past the last step
    std::vector<std::int64_t> chunks;  ///< in the order of their first sample
  };

  void leave_behind(std::int64_t number);
  void look_at_next_step();
  std::vector<std::int64_t> coming() const;

  const Dataset& dataset_;
  const std::int64_t steps_;
  const std::int64_t reach_;
  const std::size_t enough_;  ///< chunks
  const SamplesOfStep samples_of_step_;

  std::mutex mutex_;
  std::int64_t looked_at_ = 0;  ///< steps before this one
  std::deque<Run> runs_;
  std::size_t run_chunks_ = 0;  ///< in all runs
  std::unordered_map<std::int64_t, std::int64_t> uses_;  ///< by chunk: runs that have it
  std::vector<std::int64_t> samples_;
  std::vector<std::int64_t> told_;
  int begun_since_told_ = 0;
};

}  // namespace rechost
