#include "data/order.h"

#include <algorithm>
#include <bit>
#include <numeric>

#include "base/error.h"
#include "base/philox.h"

namespace rechost {
namespace {

// Purposes for derive_seed: one stream each, so that the order of chunks and the order within a window do not follow from each other.
constexpr std::uint64_t kSamplePurpose = 0x6f72646572;
constexpr std::uint64_t kChunkPurpose = 0x6368756e6b;
constexpr std::uint64_t kWindowPurpose = 0x77696e646f77;

/// Round function of the Feistel network: any function will do for a bijection, this one mixes well (two multiply-xorshift steps).
std::uint64_t mix(std::uint64_t value, std::uint64_t key) {
  std::uint64_t z = (value ^ key) * 0x9E3779B97F4A7C15ull;
  z = (z ^ (z >> 32)) * 0xD6E8FEB86659FD93ull;
  return z ^ (z >> 32);
}

std::uint64_t mask_of(int bits) { return bits >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bits) - 1; }

}  // namespace

Permutation::Permutation(std::uint64_t size, std::uint64_t key) : size_(size) {
  const int bits = size <= 1 ? 0 : std::bit_width(size - 1);
  low_bits_ = bits / 2;
  low_mask_ = mask_of(low_bits_);
  high_mask_ = mask_of(bits - low_bits_);
  for (int round = 0; round < kRounds; ++round) {
    round_keys_[static_cast<std::size_t>(round)] = derive_seed(key, static_cast<std::uint64_t>(round));
  }
}

std::uint64_t Permutation::operator()(std::uint64_t index) const {
  std::uint64_t value = index;
  // The network permutes a domain less than twice as large as [0, size); following the cycle of `index` until it comes back inside gives a
  // permutation of [0, size) itself.
  do {
    std::uint64_t high = value >> low_bits_;
    std::uint64_t low = value & low_mask_;
    for (std::size_t round = 0; round < kRounds; round += 2) {
      high ^= mix(low, round_keys_[round]) & high_mask_;
      low ^= mix(high, round_keys_[round + 1]) & low_mask_;
    }
    value = (high << low_bits_) | low;
  } while (value >= size_);
  return value;
}

Shuffle parse_shuffle(std::string_view text) {
  if (text == "full") return Shuffle::kFull;
  if (text == "chunk") return Shuffle::kChunk;
  if (text == "none") return Shuffle::kNone;
  fail<ConfigError>("data.shuffle = \"{}\": it is \"full\", \"chunk\" or \"none\"", text);
}

PositionRange share_of(std::int64_t rows, BatchShare share) {
  const auto cut = [&](std::int64_t part) {
    return static_cast<std::int64_t>(static_cast<__int128>(rows) * part / share.of);
  };
  return {cut(share.index), cut(share.index + 1)};
}

/// The chunks of one epoch in their permuted order, with the position in the epoch at which each begins.
struct SampleOrder::EpochChunks {
  std::vector<std::int64_t> chunks;
  std::vector<std::int64_t> begin;  // [chunks + 1]
};

/// Pipelines look at one epoch, at its end at two.
struct SampleOrder::EpochCache {
  std::mutex mutex;
  std::array<std::int64_t, 2> epochs{-1, -1};
  std::array<std::shared_ptr<const EpochChunks>, 2> entries;
};

SampleOrder::SampleOrder(const Settings& settings, std::vector<std::int64_t> chunk_samples)
    : settings_(settings), cache_(std::make_shared<EpochCache>()) {
  if (settings_.batch_size < 1) fail<ConfigError>("data.batch_size = {}: at least 1", settings_.batch_size);
  chunk_begin_.resize(chunk_samples.size() + 1, 0);
  std::partial_sum(chunk_samples.begin(), chunk_samples.end(), chunk_begin_.begin() + 1);
  samples_ = chunk_begin_.back();
}

std::int64_t SampleOrder::steps_per_epoch() const { return (samples_ + settings_.batch_size - 1) / settings_.batch_size; }

std::int64_t SampleOrder::batch_rows(std::int64_t step_in_epoch) const {
  return std::clamp<std::int64_t>(samples_ - step_in_epoch * settings_.batch_size, 0, settings_.batch_size);
}

void SampleOrder::batch(std::int64_t epoch, std::int64_t step_in_epoch, BatchShare share, std::vector<std::int64_t>& samples) const {
  const std::int64_t first = step_in_epoch * settings_.batch_size;
  PositionRange positions = share_of(batch_rows(step_in_epoch), share);
  positions = {first + positions.begin, first + positions.end};
  samples.resize(static_cast<std::size_t>(positions.end - positions.begin));
  switch (settings_.shuffle) {
    case Shuffle::kNone:
      std::iota(samples.begin(), samples.end(), positions.begin);
      break;
    case Shuffle::kFull: {
      if (samples.empty()) break;
      const Permutation permutation(static_cast<std::uint64_t>(samples_),
                                    derive_seed(derive_seed(settings_.seed, kSamplePurpose), static_cast<std::uint64_t>(epoch)));
      for (std::size_t i = 0; i < samples.size(); ++i) {
        samples[i] = static_cast<std::int64_t>(permutation(static_cast<std::uint64_t>(positions.begin) + i));
      }
      break;
    }
    case Shuffle::kChunk:
      chunk_batch(epoch, positions, samples);
      break;
  }
}

std::shared_ptr<const SampleOrder::EpochChunks> SampleOrder::epoch_chunks(std::int64_t epoch) const {
  const std::lock_guard lock(cache_->mutex);
  const std::size_t place = static_cast<std::size_t>(epoch) % cache_->entries.size();
  if (cache_->epochs[place] == epoch) return cache_->entries[place];

  auto made = std::make_shared<EpochChunks>();
  const std::size_t count = chunk_begin_.size() - 1;
  const Permutation permutation(count, derive_seed(derive_seed(settings_.seed, kChunkPurpose), static_cast<std::uint64_t>(epoch)));
  made->chunks.resize(count);
  made->begin.resize(count + 1, 0);
  for (std::size_t i = 0; i < count; ++i) {
    const auto chunk = static_cast<std::size_t>(permutation(i));
    made->chunks[i] = static_cast<std::int64_t>(chunk);
    made->begin[i + 1] = made->begin[i] + chunk_begin_[chunk + 1] - chunk_begin_[chunk];
  }
  cache_->epochs[place] = epoch;
  cache_->entries[place] = made;
  return made;
}

void SampleOrder::chunk_batch(std::int64_t epoch, PositionRange positions, std::vector<std::int64_t>& samples) const {
  if (samples.empty()) return;
  const std::shared_ptr<const EpochChunks> order = epoch_chunks(epoch);
  const std::vector<std::int64_t>& begin = order->begin;
  const std::uint64_t epoch_seed = derive_seed(derive_seed(settings_.seed, kWindowPurpose), static_cast<std::uint64_t>(epoch));

  std::int64_t position = positions.begin;
  while (position < positions.end) {
    const std::int64_t place = std::upper_bound(begin.begin(), begin.end(), position) - begin.begin() - 1;
    const std::int64_t window = place / kShuffleWindowChunks;
    const auto first_place = static_cast<std::size_t>(window * kShuffleWindowChunks);
    const std::size_t last_place = std::min(first_place + kShuffleWindowChunks, order->chunks.size());
    const std::int64_t window_begin = begin[first_place];
    const std::int64_t window_end = begin[last_place];
    const Permutation permutation(static_cast<std::uint64_t>(window_end - window_begin),
                                  derive_seed(epoch_seed, static_cast<std::uint64_t>(window)));
    const std::int64_t stop = std::min(positions.end, window_end);
    for (; position < stop; ++position) {
      const std::int64_t drawn =
          window_begin + static_cast<std::int64_t>(permutation(static_cast<std::uint64_t>(position - window_begin)));
      std::size_t at = first_place;
      while (begin[at + 1] <= drawn) ++at;
      samples[static_cast<std::size_t>(position - positions.begin)] =
          chunk_begin_[static_cast<std::size_t>(order->chunks[at])] + drawn - begin[at];
    }
  }
}

}  // namespace rechost
