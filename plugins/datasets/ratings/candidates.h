// The negatives that each test interaction is ranked against, as published with NCF: lines "(user,item)<tab>negative<tab>negative ...".
#ifndef RECHOST_RATINGS_CANDIDATES_H
#define RECHOST_RATINGS_CANDIDATES_H

#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "interactions.h"

namespace ratings {

class Candidates {
 public:
  // Items that are only in this file become known to `interactions`. Throws DataError with file and line for a line that is not understood,
  // and when a test interaction has no line: a benchmark with some of its candidates missing would give numbers that compare with nothing.
  static Candidates load(const std::string& path, Interactions& interactions);

  // Item numbers; the interaction's own item is not among them.
  std::span<const std::int32_t> of(std::int32_t user, std::int32_t item) const {
    const Range& range = ranges_.at(key(user, item));
    return std::span(items_).subspan(range.begin, range.size);
  }
  std::uint64_t fingerprint() const { return fingerprint_; }

 private:
  struct Range {
    std::size_t begin, size;
  };
  static std::uint64_t key(std::int32_t user, std::int32_t item) {
    return static_cast<std::uint64_t>(static_cast<std::uint32_t>(user)) << 32 | static_cast<std::uint32_t>(item);
  }

  std::vector<std::int32_t> items_;
  std::unordered_map<std::uint64_t, Range> ranges_;
  std::uint64_t fingerprint_ = 0;
};

}  // namespace ratings

#endif  // RECHOST_RATINGS_CANDIDATES_H
