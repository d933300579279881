#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

namespace rechost {

/// A bijection of [0, size) that needs no memory: a Feistel network over the next power of two, walked until the value falls inside
/// ("cycle walking"; Black & Rogaway, "Ciphers with Arbitrary Finite Domains", 2002). Different for each key.
class Permutation {
 public:
  /// `size` >= 1.
  Permutation(std::uint64_t size, std::uint64_t key);
  /// `index` < size().
  std::uint64_t operator()(std::uint64_t index) const;
  std::uint64_t size() const { return size_; }

 private:
  static constexpr int kRounds = 6;

  std::uint64_t size_;
  int low_bits_;   ///< of the right half; the left half has as many or one more
  std::uint64_t low_mask_;
  std::uint64_t high_mask_;
  std::array<std::uint64_t, kRounds> round_keys_;
};

enum class Shuffle {
  kFull,   ///< a permutation of all samples
  kChunk,  ///< chunks in permuted order; the samples of each kShuffleWindowChunks neighbours in that order are permuted together
  kNone,   ///< sample 0, 1, 2, ...
};

/// Chunks that are shuffled together under Shuffle::kChunk. A constant, because the order must follow from seed and data alone.
inline constexpr std::int64_t kShuffleWindowChunks = 8;

/// "full" | "chunk" | "none"; ConfigError otherwise.
Shuffle parse_shuffle(std::string_view text);

/// A slice of each global batch, or a rank's part of the slices: contiguous, sizes differ by at most one.
struct BatchShare {
  int index = 0;
  int of = 1;
};

/// First and one past the last position of `share` among `rows`.
struct PositionRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};
PositionRange share_of(std::int64_t rows, BatchShare share);

/// Which samples make up which batch: a pure function of (seed, epoch, step, split, shuffle, batch size). It knows nothing of ranks beyond
/// the slice asked for: resuming with another world size goes on with the same global batches.
class SampleOrder {
 public:
  struct Settings {
    Shuffle shuffle = Shuffle::kFull;
    std::uint64_t seed = 1;
    std::int64_t batch_size = 2048;  ///< global, >= 1
  };

  /// `chunk_samples[c]` samples of chunk c are numbered in a row, chunk after chunk.
  SampleOrder(const Settings& settings, std::vector<std::int64_t> chunk_samples);

  std::int64_t samples() const { return samples_; }
  std::int64_t batch_size() const { return settings_.batch_size; }
  Shuffle shuffle() const { return settings_.shuffle; }
  /// The last batch of an epoch may be short. 0 for an empty split.
  std::int64_t steps_per_epoch() const;
  /// Rows of the global batch.
  std::int64_t batch_rows(std::int64_t step_in_epoch) const;

  /// Replaces `samples` by the share's sample numbers of one global batch. Any thread. 0 <= step_in_epoch < steps_per_epoch().
  void batch(std::int64_t epoch, std::int64_t step_in_epoch, BatchShare share, std::vector<std::int64_t>& samples) const;

 private:
  struct EpochChunks;  // the permuted chunks of one epoch
  struct EpochCache;

  std::shared_ptr<const EpochChunks> epoch_chunks(std::int64_t epoch) const;
  void chunk_batch(std::int64_t epoch, PositionRange positions, std::vector<std::int64_t>& samples) const;

  Settings settings_;
  std::vector<std::int64_t> chunk_begin_;  ///< [chunks + 1]
  std::int64_t samples_ = 0;
  std::shared_ptr<EpochCache> cache_;  ///< shared by copies: it holds nothing but what can be computed again
};

}  // namespace rechost
