#include "data/stream_sequence.h"

#include <algorithm>
#include <mutex>
#include <numeric>

#include "base/error.h"
#include "base/philox.h"
#include "data/permutation.h"

namespace rechost {
namespace {

// Purposes for derive_seed: one stream of numbers each, so that the order of chunks and the order within a window do not follow from each other.
constexpr std::uint64_t kSamplePurpose = 0x6f72646572;
constexpr std::uint64_t kChunkPurpose = 0x6368756e6b;
constexpr std::uint64_t kWindowPurpose = 0x77696e646f77;
constexpr std::uint64_t kBufferPurpose = 0x627566666572;
constexpr std::uint64_t kTurnPurpose = 0x7475726e;

/// Blocks of equal size, the first cut short: block b covers [phase + (b - 1) * size, phase + b * size) of [0, samples).
struct Blocks {
  std::int64_t samples = 0;
  std::int64_t size = 1;
  std::int64_t phase = 0;  ///< 0 <= phase < size
  std::uint64_t key = 0;

  std::int64_t block_of(std::int64_t place) const { return (place - phase + size) / size; }
  std::int64_t begin(std::int64_t block) const { return std::max<std::int64_t>(0, phase + (block - 1) * size); }
  std::int64_t end(std::int64_t block) const { return std::min(samples, phase + block * size); }
  Permutation permutation(std::int64_t block) const {
    return Permutation(static_cast<std::uint64_t>(end(block) - begin(block)), derive_seed(key, static_cast<std::uint64_t>(block)));
  }
};

}  // namespace

Shuffle parse_shuffle(std::string_view text) {
  if (text == "full") return Shuffle::kFull;
  if (text == "chunk") return Shuffle::kChunk;
  if (text == "buffer") return Shuffle::kBuffer;
  if (text == "none") return Shuffle::kNone;
  if (text == "mosaic") return Shuffle::kMosaic;
  fail<ConfigError>("data.shuffle = \"{}\": it is \"full\", \"chunk\", \"buffer\", \"none\" or \"mosaic\"", text);
}

/// The chunks of a pass in their permuted order, with the place in the pass at which each begins.
struct StreamSequence::Chunks {
  std::vector<std::int64_t> chunks;
  std::vector<std::int64_t> begin;  // [chunks + 1]
};

/// Pipelines look at one pass, at its end at two.
struct StreamSequence::Cache {
  std::mutex mutex;
  std::size_t next = 0;
  std::array<std::uint64_t, 2> keys{};
  std::array<std::shared_ptr<const Chunks>, 2> entries;
};

StreamSequence::StreamSequence(const Settings& settings, const std::vector<std::int64_t>& chunk_samples)
    : settings_(settings), chunk_begin_(chunk_samples.size() + 1, 0), cache_(std::make_shared<Cache>()) {
  std::partial_sum(chunk_samples.begin(), chunk_samples.end(), chunk_begin_.begin() + 1);
}

void StreamSequence::fill(std::int64_t epoch, std::int64_t choose, std::int64_t begin, std::int64_t end, std::int64_t* samples) const {
  while (begin < end) {
    const std::int64_t pass = begin / this->samples();
    const std::int64_t first = pass * this->samples();
    const std::int64_t stop = std::min(end, first + this->samples());
    std::uint64_t key = static_cast<std::uint64_t>(epoch);
    if (pass > 0) key = derive_seed(key, static_cast<std::uint64_t>(pass));
    std::int64_t from = begin - first;
    std::int64_t to = stop - first;
    if (settings_.shuffle == Shuffle::kBuffer && choose - first < this->samples()) {
      // Without a turn, the part that is not read would be the end of the files in every epoch.
      const auto turn = static_cast<std::int64_t>(uniform_below(derive_seed(derive_seed(settings_.seed, kTurnPurpose), key), static_cast<std::uint64_t>(this->samples())));
      from += turn;
      to += turn;
      const std::int64_t around = std::clamp(this->samples() - from, std::int64_t{0}, to - from);
      fill_pass(key, from, from + around, samples);
      if (around < to - from) fill_pass(key, from + around - this->samples(), to - this->samples(), samples + around);
    } else {
      fill_pass(key, from, to, samples);
    }
    samples += stop - begin;
    begin = stop;
  }
}

void StreamSequence::fill_pass(std::uint64_t pass_key, std::int64_t begin, std::int64_t end, std::int64_t* samples) const {
  if (begin >= end) return;
  switch (settings_.shuffle) {
    case Shuffle::kFull: {
      const Permutation permutation(static_cast<std::uint64_t>(this->samples()), derive_seed(derive_seed(settings_.seed, kSamplePurpose), pass_key));
      permutation.fill(static_cast<std::uint64_t>(begin), end - begin, samples);
      return;
    }
    case Shuffle::kChunk:
      fill_by_chunk(pass_key, begin, end, samples);
      return;
    case Shuffle::kBuffer:
      fill_by_buffer(pass_key, begin, end, samples);
      return;
    case Shuffle::kNone:
    case Shuffle::kMosaic:
      std::iota(samples, samples + (end - begin), begin);
      return;
  }
}

std::shared_ptr<const StreamSequence::Chunks> StreamSequence::chunks_of(std::uint64_t pass_key) const {
  const std::lock_guard lock(cache_->mutex);
  for (std::size_t i = 0; i < cache_->keys.size(); ++i) {
    if (cache_->entries[i] != nullptr && cache_->keys[i] == pass_key) return cache_->entries[i];
  }
  auto made = std::make_shared<Chunks>();
  const std::size_t count = chunk_begin_.size() - 1;
  const Permutation permutation(count, derive_seed(derive_seed(settings_.seed, kChunkPurpose), pass_key));
  made->chunks.resize(count);
  made->begin.resize(count + 1, 0);
  for (std::size_t i = 0; i < count; ++i) {
    const auto chunk = static_cast<std::size_t>(permutation(i));
    made->chunks[i] = static_cast<std::int64_t>(chunk);
    made->begin[i + 1] = made->begin[i] + chunk_begin_[chunk + 1] - chunk_begin_[chunk];
  }
  cache_->keys[cache_->next] = pass_key;
  cache_->entries[cache_->next] = made;
  cache_->next = (cache_->next + 1) % cache_->keys.size();
  return made;
}

void StreamSequence::fill_by_chunk(std::uint64_t pass_key, std::int64_t begin, std::int64_t end, std::int64_t* samples) const {
  const std::shared_ptr<const Chunks> order = chunks_of(pass_key);
  const std::uint64_t pass_seed = derive_seed(derive_seed(settings_.seed, kWindowPurpose), pass_key);
  std::int64_t position = begin;
  while (position < end) {
    const std::int64_t place = std::upper_bound(order->begin.begin(), order->begin.end(), position) - order->begin.begin() - 1;
    const std::int64_t window = place / settings_.window_chunks;
    const auto first_place = static_cast<std::size_t>(window * settings_.window_chunks);
    const std::size_t last_place = std::min(first_place + static_cast<std::size_t>(settings_.window_chunks), order->chunks.size());
    const std::int64_t window_begin = order->begin[first_place];
    const std::int64_t window_end = order->begin[last_place];
    const Permutation permutation(static_cast<std::uint64_t>(window_end - window_begin), derive_seed(pass_seed, static_cast<std::uint64_t>(window)));
    const std::int64_t stop = std::min(end, window_end);
    std::int64_t* const out = samples + (position - begin);
    permutation.fill(static_cast<std::uint64_t>(position - window_begin), stop - position, out);
    const auto window_first = order->begin.begin() + static_cast<std::ptrdiff_t>(first_place);
    const auto window_last = order->begin.begin() + static_cast<std::ptrdiff_t>(last_place);
    for (std::int64_t i = 0; i < stop - position; ++i) {
      const std::int64_t drawn = window_begin + out[i];
      const auto at = static_cast<std::size_t>(std::upper_bound(window_first, window_last, drawn) - order->begin.begin() - 1);
      out[i] = chunk_begin_[static_cast<std::size_t>(order->chunks[at])] + drawn - order->begin[at];
    }
    position = stop;
  }
}

void StreamSequence::fill_by_buffer(std::uint64_t pass_key, std::int64_t begin, std::int64_t end, std::int64_t* samples) const {
  // Two layers of permuted blocks of half a window each, the second half a block behind the first: no border keeps neighbours apart, and no
  // sample moves by a window.
  const std::int64_t size = std::max<std::int64_t>(settings_.window_samples / 2, 1);
  const std::uint64_t seed = derive_seed(derive_seed(settings_.seed, kBufferPurpose), pass_key);
  const auto phase = static_cast<std::int64_t>(uniform_below(derive_seed(seed, 0), static_cast<std::uint64_t>(size)));
  const Blocks inner{this->samples(), size, phase, derive_seed(seed, 1)};
  const Blocks outer{this->samples(), size, (phase + size / 2) % size, derive_seed(seed, 2)};
  std::vector<Permutation> inner_blocks;
  for (std::int64_t position = begin; position < end;) {
    const std::int64_t block = outer.block_of(position);
    const std::int64_t block_begin = outer.begin(block);
    const std::int64_t stop = std::min(end, outer.end(block));
    std::int64_t* const out = samples + (position - begin);
    outer.permutation(block).fill(static_cast<std::uint64_t>(position - block_begin), stop - position, out);
    const std::int64_t first_inner = inner.block_of(block_begin);
    inner_blocks.clear();
    for (std::int64_t each = first_inner; each <= inner.block_of(outer.end(block) - 1); ++each) inner_blocks.push_back(inner.permutation(each));
    for (std::int64_t i = 0; i < stop - position; ++i) {
      const std::int64_t place = block_begin + out[i];
      const std::int64_t each = inner.block_of(place);
      const std::int64_t from = inner.begin(each);
      out[i] = from + static_cast<std::int64_t>(inner_blocks[static_cast<std::size_t>(each - first_inner)](static_cast<std::uint64_t>(place - from)));
    }
    position = stop;
  }
}

}  // namespace rechost
