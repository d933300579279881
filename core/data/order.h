#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/sections.h"
#include "data/mosaic_order.h"
#include "data/stream_mix.h"
#include "data/stream_sequence.h"

namespace rechost {

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

/// A global batch by its number in an epoch.
struct EpochStep {
  std::int64_t epoch = 0;
  std::int64_t step = 0;  ///< from 0; under shuffle "mosaic" counted from where the order begins, in its first epoch
};

/// Which samples make up which batch: a pure function of (seed, epoch, step, split, shuffle, batch size). It knows nothing of ranks beyond
/// the slice asked for: resuming with another world size goes on with the same global batches. A sample may come more or less often than
/// once in an epoch: streams have weights, and "mosaic" fills up what its emulated ranks cannot share evenly.
class SampleOrder {
 public:
  struct Settings {
    Shuffle shuffle = Shuffle::kFull;
    std::uint64_t seed = 1;
    std::int64_t batch_size = 2048;  ///< global, >= 1
    std::int64_t window_samples = 65536;
    std::int64_t window_chunks = 8;
    std::int64_t epoch_size = 0;     ///< DataSection::epoch_size
    MosaicSection mosaic;
    std::optional<MosaicState> mosaic_state;
  };

  /// Samples are numbered in a row, stream after stream, in each chunk after chunk. ConfigError, DataError.
  SampleOrder(const Settings& settings, std::vector<StreamShape> streams);
  /// One stream.
  SampleOrder(const Settings& settings, std::vector<std::int64_t> chunk_samples);

  /// There are so many different ones.
  std::int64_t samples() const { return samples_; }
  /// An epoch has so many; its last batch may be short. Under "mosaic": about.
  std::int64_t epoch_samples() const { return epoch_samples_; }
  std::int64_t batch_size() const { return settings_.batch_size; }
  Shuffle shuffle() const { return settings_.shuffle; }
  /// Of a whole epoch. 0 for an empty split.
  std::int64_t steps_per_epoch() const;
  /// Global steps count from 0 over all epochs, from where the order begins: epoch 0, or the epoch of the state that it goes on from.
  EpochStep locate(std::int64_t global_step) const;
  /// The global step with which an epoch begins; 0 for one that is over already.
  std::int64_t first_step_of(std::int64_t epoch) const;
  /// Samples in global steps [0, global_step).
  std::int64_t samples_before(std::int64_t global_step) const;

  /// Rows of the global batch.
  std::int64_t batch_rows(EpochStep place) const;
  /// Replaces `samples` by the share's sample numbers of one global batch. Any thread. 0 <= place.step < steps of that epoch.
  void batch(EpochStep place, BatchShare share, std::vector<std::int64_t>& samples) const;

  /// Changes when any input of the order does, the sizes of chunks included: what a run must find again when it goes on.
  std::string fingerprint() const;

  /// How many chunks batches are put together from at a time: so many should be kept in memory.
  std::int64_t chunks_in_reach() const;
  /// Null but under "mosaic".
  const MosaicOrder* mosaic() const { return mosaic_.get(); }

 private:
  void mixed_batch(std::int64_t epoch, PositionRange positions, std::vector<std::int64_t>& samples) const;
  void drawn_batch(std::int64_t epoch, PositionRange positions, std::vector<std::int64_t>& samples) const;

  Settings settings_;
  std::vector<StreamShape> streams_;
  std::int64_t samples_ = 0;
  std::int64_t epoch_samples_ = 0;
  std::vector<std::int64_t> first_sample_;  ///< [streams]
  std::vector<std::int64_t> choose_;        ///< [streams] samples of an epoch
  std::vector<StreamSequence> sequences_;   ///< [streams]
  std::optional<StreamMix> mix_;            ///< several streams
  std::shared_ptr<const MosaicOrder> mosaic_;
};

/// A stream of [data.streams] with its weight and no chunks yet.
StreamShape stream_shape(const DataSection& data, const std::string& name);

/// The settings that [data] asks for; reads the file of data.mosaic.state. ConfigError, DataError.
SampleOrder::Settings order_settings(const DataSection& data, std::uint64_t seed);

}  // namespace rechost
