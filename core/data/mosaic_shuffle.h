#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "data/numpy_random.h"

namespace rechost {

/// How MosaicML's streaming package shuffles an epoch (streaming/base/shuffle).
enum class MosaicAlgorithm {
  kNaive,  ///< all samples
  kPy1s,   ///< shards, and the samples of each
  kPy2s,   ///< the same, each shard's samples once more before shards are cut between canonical nodes
  kPy1br,  ///< shards, and blocks of samples across them
  kPy1e,   ///< shards, and each sample moved within a range about as wide as a block
};

/// "naive" | "py1s" | "py2s" | "py1br" | "py1e"; ConfigError otherwise.
MosaicAlgorithm parse_mosaic_algorithm(std::string_view text);

struct MosaicShuffle {
  MosaicAlgorithm algorithm = MosaicAlgorithm::kPy1e;
  std::int64_t canonical_nodes = 1;
  std::uint64_t seed = 9176;
  std::int64_t block_size = 1 << 18;  ///< samples; of py1br and py1e

  /// order[i]: which sample of the epoch has place i. `units`: sizes of the shards as they enter the epoch, fewer than 2^32 samples in all.
  /// Bit for bit what get_shuffle() gives, but for py1e's samples with equal float64 positions: there NumPy's sort is not stable and
  /// differs between processors, and this one keeps their order. Memory: the result, and for py1e about 60 bytes * block_size.
  /// DataError where the package fails: py1e with a canonical node without samples, blocks too small to draw from.
  std::vector<std::uint32_t> order(std::span<const std::int64_t> units, std::int64_t epoch) const;

  /// Whether py1e leaves the samples of some unit to themselves, as its block may be smaller than the unit.
  bool degenerates(std::int64_t largest_unit) const;
};

}  // namespace rechost
