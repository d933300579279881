#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/sections.h"
#include "data/mosaic_partition.h"
#include "data/mosaic_sampling.h"
#include "data/mosaic_shuffle.h"

namespace rechost {

/// The state dict of StreamingDataLoader: how far a run has come.
struct MosaicState {
  std::int64_t epoch = 0;
  std::int64_t sample_in_epoch = 0;  ///< samples of global batches seen
  std::int64_t num_canonical_nodes = 0;
  std::int64_t shuffle_seed = 0;
  std::optional<std::int64_t> initial_physical_nodes;  ///< older versions do not say
};

/// Reads and writes the JSON of StreamingDataLoader.state_dict(). DataError names `source` and what is wrong with it.
MosaicState parse_mosaic_state(const std::string& json, const std::string& source);
std::string mosaic_state_json(const MosaicState& state);

/// The samples of each global batch as a job of ranks with StreamingDataset and StreamingDataLoader would see them: batch by batch, in it
/// node by node, rank by rank. Which job is part of the settings and has nothing to do with the ranks of this run.
class MosaicOrder {
 public:
  /// `streams` in order. With `state` the order begins there; its shuffle_seed and num_canonical_nodes count, not those of the settings.
  /// `batch_size`: of a global batch. ConfigError, DataError.
  MosaicOrder(const MosaicSection& settings, std::int64_t batch_size, std::int64_t epoch_size, std::vector<StreamShape> streams,
              const std::optional<MosaicState>& state);

  /// Where it begins: an epoch, and the samples of it that are over.
  std::int64_t first_epoch() const { return start_epoch_; }
  /// Global batches of an epoch; of the first one, those that are left.
  std::int64_t steps(std::int64_t epoch) const;
  std::int64_t batch_rows(std::int64_t epoch, std::int64_t step) const;
  /// Replaces `samples` by rows [begin, end) of a global batch. Any thread. The first call for an epoch makes its order: 4 bytes a sample,
  /// which are kept for two epochs.
  void batch(std::int64_t epoch, std::int64_t step, std::int64_t begin, std::int64_t end, std::vector<std::int64_t>& samples) const;

  /// After `step` batches of an epoch: what StreamingDataset would go on from.
  MosaicState state_after(std::int64_t epoch, std::int64_t step) const;

  /// What the samples of a batch may come from at a time, in chunks: how many should be kept in memory. All of them for "naive".
  std::int64_t chunks_in_reach() const;

  /// One sentence when py1e's block is smaller than a shard, so that samples of different shards do not meet; else empty.
  std::string block_warning() const;

 private:
  struct Epoch;
  struct Cache;
  enum class Batching { kRandom, kStratified, kPerStream, kDevicePerStream };

  /// Samples by place in a part of the epoch: of all streams, or of one.
  struct PlacedSamples {
    std::vector<std::uint32_t> samples;  ///< empty: first, first + 1, ...
    std::int64_t first = 0;
    std::int64_t at(std::int64_t place) const { return samples.empty() ? first + place : samples[static_cast<std::size_t>(place)]; }
  };

  void emulate_job();
  void take_state(const MosaicState& state);
  MosaicPartition make_partition(std::int64_t samples, std::int64_t drop_first) const;
  void make_partitions();
  void make_portions();
  MosaicShuffle shuffle_of(std::size_t part) const;
  PlacedSamples place_samples(std::size_t part, std::int64_t epoch) const;
  void draw_origins(std::int64_t epoch, Epoch& made) const;
  std::shared_ptr<const Epoch> epoch_order(std::int64_t epoch) const;
  std::int64_t batches_of_stream(std::size_t stream) const;
  const MosaicPartition& partition_of(std::int64_t epoch) const;
  std::int64_t skipped_steps(std::int64_t epoch) const;
  void stratified_rows(const Epoch& order, std::int64_t batch, std::int64_t begin, std::int64_t end, std::int64_t* samples) const;
  void device_rows(const Epoch& order, std::int64_t batch, std::int64_t begin, std::int64_t end, std::int64_t* samples) const;

  MosaicSection settings_;
  Batching batching_ = Batching::kRandom;
  MosaicSampling sampling_;
  std::int64_t batch_size_;         ///< global
  std::int64_t device_batch_ = 0;
  std::int64_t nodes_ = 1;          ///< of the job, ranks with the same samples counted once
  std::int64_t ranks_per_node_ = 1;
  std::int64_t canonical_nodes_ = 1;
  std::int64_t block_size_ = 0;
  std::optional<std::int64_t> initial_nodes_;
  std::int64_t start_epoch_ = 0;
  std::int64_t start_sample_ = 0;

  std::vector<StreamShape> streams_;
  std::vector<StreamWeight> weights_;
  std::vector<std::int64_t> first_sample_;           ///< [streams]
  std::vector<MosaicPartition> partitions_;          ///< "random": one of all streams; else by stream
  std::optional<MosaicPartition> start_partition_;   ///< "random": of the epoch that the order begins in the middle of
  std::vector<std::int64_t> portions_;               ///< "stratified": rows of each global batch, by stream
  std::shared_ptr<Cache> cache_;                     ///< shared by copies: it holds nothing but what can be computed again
};

}  // namespace rechost
