#include "data/mosaic_shuffle.h"

#include <sys/mman.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/error.h"

namespace rechost {
namespace {

using Id = std::uint32_t;

/// Samples [begin, end).
struct Span {
  Id begin = 0;
  Id end = 0;
  Id size() const { return end - begin; }
};

/// Spans cut where the parts of an epoch end; part k holds spans part_begin[k] .. part_begin[k + 1].
struct Parts {
  std::vector<Span> spans;
  std::vector<std::size_t> part_begin;

  std::span<Span> part(std::size_t k) { return std::span(spans).subspan(part_begin[k], part_begin[k + 1] - part_begin[k]); }
  std::size_t count() const { return part_begin.size() - 1; }
};

std::vector<Span> spans_of(std::span<const std::int64_t> units) {
  std::vector<Span> spans;
  spans.reserve(units.size());
  Id begin = 0;
  for (const std::int64_t size : units) {
    spans.push_back({begin, begin + static_cast<Id>(size)});
    begin += static_cast<Id>(size);
  }
  return spans;
}

/// divide_spans(): part k ends after samples * (k + 1) / parts samples.
Parts divide(const std::vector<Span>& spans, std::int64_t samples, std::int64_t parts) {
  Parts divided;
  divided.part_begin.push_back(0);
  std::size_t next = 0;
  Id cut = 0;  // samples of spans[next] that went to the parts before
  std::int64_t so_far = 0;
  for (std::int64_t part = 0; part < parts; ++part) {
    const auto part_end = static_cast<std::int64_t>(static_cast<__int128>(samples) * (part + 1) / parts);
    while (next < spans.size()) {
      const Span rest{spans[next].begin + cut, spans[next].end};
      if (part_end < so_far + rest.size()) {
        if (so_far < part_end) {
          const auto split = static_cast<Id>(part_end - so_far);
          divided.spans.push_back({rest.begin, rest.begin + split});
          cut += split;
          so_far += split;
        }
        break;
      }
      divided.spans.push_back(rest);
      so_far += rest.size();
      cut = 0;
      ++next;
    }
    divided.part_begin.push_back(divided.spans.size());
  }
  return divided;
}

/// int(0.75 * block) and int(1.25 * block): sizes of blocks are drawn from between.
struct BlockRange {
  explicit BlockRange(std::int64_t block)
      : low(static_cast<std::int64_t>(0.75 * static_cast<double>(block))), high(static_cast<std::int64_t>(1.25 * static_cast<double>(block))) {}
  std::int64_t low;
  std::int64_t high;  ///< exclusive
};

void check_blocks(const BlockRange& range, std::int64_t block, bool staggers) {
  if (range.low < range.high && (!staggers || range.low > 0)) return;
  fail<DataError>("data.mosaic.shuffle_block_size: a stream's share of it is {} samples, too few to draw blocks from: raise it", block);
}

/// Room for `count` ids, on huge pages where the system has them: a shuffle goes all over it, and with small pages most of its time is the
/// search for them.
std::vector<Id> room_for(std::size_t count) {
  constexpr std::uintptr_t kHugePage = 1 << 21;
  std::vector<Id> ids;
  ids.reserve(count);
  const std::uintptr_t begin = (reinterpret_cast<std::uintptr_t>(ids.data()) + kHugePage - 1) & ~(kHugePage - 1);
  const std::uintptr_t end = reinterpret_cast<std::uintptr_t>(ids.data() + count) & ~(kHugePage - 1);
  // Advice alone: without it all is slower, nothing else.
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
  ids.resize(count);
  return ids;
}

Id* write_span(Id* to, const Span& span) {
  std::iota(to, to + span.size(), span.begin);
  return to + span.size();
}

/// The samples of one canonical node under py1e: each is given a place near its own and they are sorted by place. Places that no later
/// sample can come before are written out at once, so that not all have to be kept.
class Expansion {
 public:
  /// `ids` are read as place() is called and overwritten behind that.
  Expansion(std::span<Id> ids, const BlockRange& range)
      : ids_(ids),
        range_(range),
        reach_(static_cast<double>(range.high) / 2 + 1),
        worth_writing_(std::max<std::size_t>(static_cast<std::size_t>(range.high) * 2, 1 << 14)) {}

  /// The next `size` samples.
  void place(NumpyGenerator& generator, Id size) {
    const auto offset = static_cast<double>(read_);
    const double cutoff = std::max(0.0, (static_cast<double>(generator.integer(range_.low, range_.high)) - size) / 2);
    const double low = std::max(-cutoff, -offset);
    const double high = std::min(cutoff, static_cast<double>(ids_.size()) - offset - size);
    const double range = high - low;
    for (Id i = 0; i < size; ++i, ++read_) {
      waiting_.push_back({static_cast<double>(read_) + generator.uniform(low, range), ids_[read_]});
      // At least half of the waiting samples lie behind the reach of what comes.
      if (waiting_.size() >= worth_writing_) write_before(static_cast<double>(read_) - reach_);
    }
  }

  void finish() { write_before(static_cast<double>(ids_.size()) + 1); }

 private:
  struct Placed {
    double place;
    Id id;
  };

  /// Sorts and writes the samples whose place is below `limit`.
  void write_before(double limit) {
    ready_.clear();
    std::size_t kept = 0;
    for (const Placed& each : waiting_) {
      if (each.place < limit) {
        ready_.push_back(each);
      } else {
        waiting_[kept++] = each;
      }
    }
    waiting_.resize(kept);
    worth_writing_ = std::max(worth_writing_, kept * 2);
    sort_ready();
  }

  void sort_ready() {
    if (ready_.empty()) return;
    // One bucket per unit of place: about one sample in each.
    const auto [least, most] = std::minmax_element(ready_.begin(), ready_.end(), [](const Placed& a, const Placed& b) { return a.place < b.place; });
    const auto base = static_cast<std::int64_t>(least->place);
    const auto buckets = static_cast<std::size_t>(static_cast<std::int64_t>(most->place) - base + 1);
    bucket_end_.assign(buckets + 1, 0);
    const auto bucket_of = [base](const Placed& each) { return static_cast<std::size_t>(static_cast<std::int64_t>(each.place) - base); };
    for (const Placed& each : ready_) ++bucket_end_[bucket_of(each) + 1];
    std::partial_sum(bucket_end_.begin(), bucket_end_.end(), bucket_end_.begin());
    sorted_.resize(ready_.size());
    for (const Placed& each : ready_) sorted_[bucket_end_[bucket_of(each)]++] = each;
    // Buckets are in order, their samples nearly: insertion moves each by a few places, and never one past its equal.
    for (std::size_t i = 1; i < sorted_.size(); ++i) {
      const Placed each = sorted_[i];
      std::size_t at = i;
      for (; at > 0 && sorted_[at - 1].place > each.place; --at) sorted_[at] = sorted_[at - 1];
      sorted_[at] = each;
    }
    for (const Placed& each : sorted_) ids_[written_++] = each.id;
  }

  std::span<Id> ids_;
  BlockRange range_;
  double reach_;
  std::size_t worth_writing_;
  std::size_t read_ = 0;
  std::size_t written_ = 0;
  std::vector<Placed> waiting_;
  std::vector<Placed> ready_;
  std::vector<Placed> sorted_;
  std::vector<std::uint32_t> bucket_end_;
};

void shuffle_py1s(Parts& parts, NumpyGenerator& generator, std::vector<Id>& ids) {
  Id* to = ids.data();
  for (const Span& span : parts.spans) {
    Id* const end = write_span(to, span);
    generator.shuffle(std::span(to, end));
    to = end;
  }
}

void shuffle_py1br(Parts& parts, NumpyGenerator& generator, std::int64_t block, std::vector<Id>& ids) {
  const BlockRange range(block);
  check_blocks(range, block, true);
  std::vector<std::int64_t> stagger(parts.count());
  for (std::int64_t& each : stagger) each = generator.integer(0, range.low);
  std::int64_t part_end = 0;
  std::vector<std::pair<std::int64_t, std::int64_t>> blocks;
  for (std::size_t part = 0; part < parts.count(); ++part) {
    const std::int64_t part_begin = part_end;
    Id* to = ids.data() + part_begin;
    for (const Span& span : parts.part(part)) to = write_span(to, span);
    part_end = to - ids.data();
    blocks.clear();
    for (std::int64_t end = part_begin; end < part_end;) {
      const std::int64_t size = generator.integer(range.low, range.high);
      const std::int64_t start = std::max(end - stagger[part], part_begin);
      const std::int64_t stop = std::min(end + size - stagger[part], part_end);
      blocks.emplace_back(start, stop);
      end += stop - start;
    }
    for (const auto& [start, stop] : blocks) generator.shuffle(std::span(ids).subspan(static_cast<std::size_t>(start), static_cast<std::size_t>(stop - start)));
  }
}

void shuffle_py1e(Parts& parts, NumpyGenerator& generator, std::int64_t block, std::vector<Id>& ids) {
  const BlockRange range(block);
  check_blocks(range, block, false);
  Id* to = ids.data();
  for (std::size_t part = 0; part < parts.count(); ++part) {
    const std::span<Span> spans = parts.part(part);
    Id* const part_begin = to;
    for (const Span& span : spans) {
      Id* const end = write_span(to, span);
      generator.shuffle(std::span(to, end));
      to = end;
    }
    if (to == part_begin) {
      fail<DataError>("data.mosaic: a stream has fewer samples in an epoch ({}) than there are canonical nodes ({}), which py1e does not allow: "
                      "lower data.mosaic.num_canonical_nodes",
                      ids.size(), parts.count());
    }
    Expansion expansion(std::span(part_begin, to), range);
    for (const Span& span : spans) expansion.place(generator, span.size());
    expansion.finish();
  }
}

/// Here a span is a range of places in `base`, the once shuffled samples.
void shuffle_py2s(Parts& parts, const std::vector<Id>& base, NumpyGenerator& generator, std::vector<Id>& ids) {
  Id* to = ids.data();
  for (std::size_t part = 0; part < parts.count(); ++part) {
    const std::span<Span> spans = parts.part(part);
    generator.shuffle(spans);
    for (const Span& span : spans) {
      Id* const end = std::copy(base.begin() + span.begin, base.begin() + span.end, to);
      generator.shuffle(std::span(to, end));
      to = end;
    }
  }
}

}  // namespace

MosaicAlgorithm parse_mosaic_algorithm(std::string_view text) {
  if (text == "naive") return MosaicAlgorithm::kNaive;
  if (text == "py1s") return MosaicAlgorithm::kPy1s;
  if (text == "py2s") return MosaicAlgorithm::kPy2s;
  if (text == "py1br") return MosaicAlgorithm::kPy1br;
  if (text == "py1e") return MosaicAlgorithm::kPy1e;
  fail<ConfigError>("data.mosaic.shuffle_algo = \"{}\": it is \"naive\", \"py1s\", \"py2s\", \"py1br\" or \"py1e\"", text);
}

std::vector<std::uint32_t> MosaicShuffle::order(std::span<const std::int64_t> units, std::int64_t epoch) const {
  const std::int64_t samples = std::accumulate(units.begin(), units.end(), std::int64_t{0});
  std::vector<Id> ids = room_for(static_cast<std::size_t>(samples));
  NumpyGenerator epoch_generator(seed + static_cast<std::uint64_t>(epoch));
  if (algorithm == MosaicAlgorithm::kNaive) {
    std::iota(ids.begin(), ids.end(), 0);
    epoch_generator.shuffle(std::span(ids));
    return ids;
  }
  NumpyGenerator run_generator(seed);
  std::vector<Span> spans = spans_of(units);
  run_generator.shuffle(std::span(spans));
  if (algorithm == MosaicAlgorithm::kPy2s) {
    std::vector<Id> base = room_for(ids.size());
    Id* to = base.data();
    for (Span& span : spans) {
      Id* const end = write_span(to, span);
      run_generator.shuffle(std::span(to, end));
      span = {static_cast<Id>(to - base.data()), static_cast<Id>(end - base.data())};
      to = end;
    }
    Parts parts = divide(spans, samples, canonical_nodes);
    shuffle_py2s(parts, base, epoch_generator, ids);
    return ids;
  }
  Parts parts = divide(spans, samples, canonical_nodes);
  for (std::size_t part = 0; part < parts.count(); ++part) epoch_generator.shuffle(parts.part(part));
  if (algorithm == MosaicAlgorithm::kPy1s) shuffle_py1s(parts, epoch_generator, ids);
  if (algorithm == MosaicAlgorithm::kPy1br) shuffle_py1br(parts, epoch_generator, block_size, ids);
  if (algorithm == MosaicAlgorithm::kPy1e) shuffle_py1e(parts, epoch_generator, block_size, ids);
  return ids;
}

bool MosaicShuffle::degenerates(std::int64_t largest_unit) const {
  return algorithm == MosaicAlgorithm::kPy1e && largest_unit > BlockRange(block_size).low;
}

}  // namespace rechost
