#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace rechost {

/// One of the sources that training samples come from, and its weight: at most one of the three is given.
struct StreamShape {
  std::string name;                         ///< for messages; empty when there is one and nobody named it
  std::vector<std::int64_t> chunk_samples;  ///< in order; chunks without samples are allowed
  std::optional<double> proportion;         ///< relative to the other streams
  std::optional<double> repeat;
  std::optional<std::int64_t> choose;

  std::int64_t samples() const;
};

/// What a stream's weight comes to in one epoch.
struct StreamWeight {
  std::int64_t choose = 0;  ///< samples
  double proportion = 0.0;  ///< of all samples
};

/// Stream.apply_weights() of MosaicML's streaming. `epoch_size` 0: as many samples as there are. The few samples that rounding leaves over go
/// to streams drawn by `seed`. ConfigError: weights of both kinds, or an epoch size beside absolute ones.
std::vector<StreamWeight> stream_weights(std::span<const StreamShape> streams, std::int64_t epoch_size, std::uint64_t seed);

/// The part of StreamingDataset that draws samples of a stream more or less often than once.
struct MosaicSampling {
  std::uint64_t seed = 9176;
  std::int64_t granularity = 1;
  bool balanced = true;  ///< sampling_method
  bool shuffle = true;

  /// Appended to by add(): sizes of the epoch's units, and which sample each of its places means, counted from the first stream's first.
  /// `samples` stays empty as long as it would be 0, 1, 2, ...
  struct Epoch {
    std::vector<std::int64_t> units;
    std::vector<std::uint32_t> samples;
    std::int64_t count = 0;
  };

  /// Samples to take of each chunk (get_sampling).
  std::vector<std::int64_t> chunk_choices(std::span<const std::int64_t> chunk_samples, std::int64_t choose, std::int64_t epoch) const;

  /// resample_streams() of these streams together. `first_sample[s]`: number of the first sample of streams[s].
  Epoch resample(std::span<const StreamShape* const> streams, std::span<const std::int64_t> first_sample, std::span<const std::int64_t> choose,
                 std::int64_t epoch) const;
};

}  // namespace rechost
