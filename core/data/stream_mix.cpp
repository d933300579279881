#include "data/stream_mix.h"

#include <algorithm>
#include <numeric>

namespace rechost {

/// Goes through an epoch from some place on.
class StreamMix::Walk {
 public:
  Walk(const StreamMix& mix, std::int64_t place) : counts_(mix.counts_), done_(counts_.size(), 0) {
    // Rounding makes every stream's own count by then differ by at most a half: an earlier time has not gone too far for any.
    const std::int64_t early = std::max<std::int64_t>(place - static_cast<std::int64_t>(counts_.size()), 0);
    std::int64_t sum = 0;
    for (std::size_t s = 0; s < counts_.size(); ++s) {
      done_[s] = static_cast<std::int64_t>((2 * static_cast<__int128>(counts_[s]) * early + mix.total_) / (2 * static_cast<__int128>(mix.total_)));
      sum += done_[s];
      if (done_[s] < counts_[s]) waiting_.push_back(static_cast<std::uint32_t>(s));
    }
    std::make_heap(waiting_.begin(), waiting_.end(), Later{this});
    for (; sum < place; ++sum) next();
  }

  std::uint32_t next() {
    std::pop_heap(waiting_.begin(), waiting_.end(), Later{this});
    const std::uint32_t stream = waiting_.back();
    if (++done_[stream] == counts_[stream]) {
      waiting_.pop_back();
    } else {
      std::push_heap(waiting_.begin(), waiting_.end(), Later{this});
    }
    return stream;
  }

  const std::vector<std::int64_t>& done() const { return done_; }

 private:
  struct Later {
    const Walk* walk;
    /// (2k + 1) / n of one stream against the other's, without rounding; the earlier stream first when they are equal.
    bool operator()(std::uint32_t left, std::uint32_t right) const {
      const __int128 left_time = (2 * static_cast<__int128>(walk->done_[left]) + 1) * walk->counts_[right];
      const __int128 right_time = (2 * static_cast<__int128>(walk->done_[right]) + 1) * walk->counts_[left];
      return left_time != right_time ? left_time > right_time : left > right;
    }
  };

  const std::vector<std::int64_t>& counts_;
  std::vector<std::int64_t> done_;
  std::vector<std::uint32_t> waiting_;
};

StreamMix::StreamMix(std::vector<std::int64_t> counts) : counts_(std::move(counts)), total_(std::accumulate(counts_.begin(), counts_.end(), std::int64_t{0})) {}

std::vector<std::int64_t> StreamMix::before(std::int64_t place) const { return Walk(*this, place).done(); }

std::vector<std::uint32_t> StreamMix::streams(std::int64_t begin, std::int64_t end) const {
  Walk walk(*this, begin);
  std::vector<std::uint32_t> found;
  found.reserve(static_cast<std::size_t>(end - begin));
  for (std::int64_t place = begin; place < end; ++place) found.push_back(walk.next());
  return found;
}

}  // namespace rechost
