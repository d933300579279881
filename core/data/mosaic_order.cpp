#include "data/mosaic_order.h"

#include <algorithm>
#include <array>
#include <limits>
#include <mutex>
#include <numeric>

#include "base/error.h"

namespace rechost {

/// The order of one epoch.
struct MosaicOrder::Epoch {
  std::vector<PlacedSamples> parts;     // as partitions_
  // "per_stream": by global batch; "device_per_stream": by node and device batch of the node.
  std::vector<std::uint32_t> origins;   // stream that it is of
  std::vector<std::uint32_t> numbers;   // which of the stream's (and node's) batches
};

/// A pipeline looks at one epoch, at its end at two.
struct MosaicOrder::Cache {
  std::mutex mutex;
  std::array<std::int64_t, 2> epochs{-1, -1};
  std::array<std::shared_ptr<const Epoch>, 2> entries;
};

MosaicOrder::MosaicOrder(const MosaicSection& settings, std::int64_t batch_size, std::int64_t epoch_size, std::vector<StreamShape> streams,
                         const std::optional<MosaicState>& state)
    : settings_(settings), batch_size_(batch_size), streams_(std::move(streams)), cache_(std::make_shared<Cache>()) {
  const std::string& batching = settings_.batching_method;
  batching_ = batching == "random"       ? Batching::kRandom
              : batching == "stratified" ? Batching::kStratified
              : batching == "per_stream" ? Batching::kPerStream
                                         : Batching::kDevicePerStream;
  emulate_job();
  if (state) take_state(*state);
  block_size_ = settings_.shuffle_block_size > 0 ? settings_.shuffle_block_size : std::max<std::int64_t>(4'000'000 / canonical_nodes_, 1 << 18);
  sampling_ = {.seed = static_cast<std::uint64_t>(settings_.shuffle_seed), .granularity = settings_.sampling_granularity,
               .balanced = settings_.sampling_method == "balanced", .shuffle = settings_.shuffle};
  // Streams get their weights when StreamingDataset is made, before it sees a state.
  weights_ = stream_weights(streams_, epoch_size, static_cast<std::uint64_t>(settings.shuffle_seed));
  std::int64_t samples = 0;
  std::int64_t chosen = 0;
  for (std::size_t s = 0; s < streams_.size(); ++s) {
    first_sample_.push_back(samples);
    samples += streams_[s].samples();
    chosen += weights_[s].choose;
  }
  if (chosen == 0) fail<ConfigError>("data.streams: the weights leave an epoch without samples");
  if (std::max(samples, chosen) > std::numeric_limits<std::uint32_t>::max()) {
    fail<DataError>("data.shuffle = \"mosaic\" numbers samples in 32 bits: there are {}, {} of them in an epoch; use data.shuffle = \"full\"", samples, chosen);
  }
  if (batching_ == Batching::kStratified) make_portions();
  make_partitions();
}

/// World.replicate(), and what follows from it.
void MosaicOrder::emulate_job() {
  nodes_ = settings_.nodes;
  ranks_per_node_ = settings_.ranks_per_node;
  const std::int64_t ranks = nodes_ * ranks_per_node_;
  if (ranks % settings_.replication != 0) {
    fail<ConfigError>("data.mosaic.replication = {} does not divide the {} ranks of data.mosaic.nodes and ranks_per_node", settings_.replication, ranks);
  }
  const std::int64_t distinct = ranks / settings_.replication;
  nodes_ = distinct % ranks_per_node_ == 0 ? distinct / ranks_per_node_ : 1;
  ranks_per_node_ = distinct / nodes_;
  if (batch_size_ % distinct != 0) {
    fail<ConfigError>("data.batch_size = {} cannot be divided among the {} ranks of data.mosaic.nodes and ranks_per_node", batch_size_, distinct);
  }
  device_batch_ = batch_size_ / distinct;
  const bool many = settings_.shuffle_algo == "py1s" || settings_.shuffle_algo == "py2s";
  canonical_nodes_ = settings_.num_canonical_nodes > 0 ? settings_.num_canonical_nodes : many ? 64 * nodes_ : nodes_;
}

void MosaicOrder::take_state(const MosaicState& state) {
  canonical_nodes_ = state.num_canonical_nodes;
  settings_.shuffle_seed = state.shuffle_seed;
  initial_nodes_ = state.initial_physical_nodes;
  start_epoch_ = state.epoch;
  start_sample_ = state.sample_in_epoch;
}

MosaicPartition MosaicOrder::make_partition(std::int64_t samples, std::int64_t drop_first) const {
  MosaicPartition::Shape shape{.samples = samples, .canonical_nodes = canonical_nodes_, .nodes = nodes_, .ranks_per_node = ranks_per_node_,
                               .device_batch = device_batch_, .drop_first = drop_first};
  if (batching_ == Batching::kStratified || batching_ == Batching::kDevicePerStream) {
    shape.nodes = batching_ == Batching::kStratified ? 1 : canonical_nodes_;
    shape.device_batch = 1;
  } else if (settings_.partition_algo == "relaxed" && initial_nodes_ && canonical_nodes_ % nodes_ != 0 && nodes_ % canonical_nodes_ != 0) {
    // The partition of the job as it began, in batches as large.
    const std::int64_t devices = *initial_nodes_ * ranks_per_node_;
    if (batch_size_ % devices != 0) {
      fail<ConfigError>("data.batch_size = {} cannot be divided among the {} ranks that the job in data.mosaic.state began with", batch_size_, devices);
    }
    shape.nodes = *initial_nodes_;
    shape.device_batch = batch_size_ / devices;
  }
  return MosaicPartition(shape);
}

void MosaicOrder::make_partitions() {
  if (batching_ == Batching::kRandom) {
    std::int64_t samples = 0;
    for (const StreamWeight& weight : weights_) samples += weight.choose;
    partitions_.push_back(make_partition(samples, 0));
    if (start_sample_ > 0) start_partition_ = make_partition(samples, start_sample_);
    return;
  }
  if (batching_ == Batching::kDevicePerStream && canonical_nodes_ % nodes_ != 0) {
    fail<ConfigError>("data.mosaic.batching_method = \"device_per_stream\": num_canonical_nodes = {} must be a multiple of the {} nodes", canonical_nodes_, nodes_);
  }
  for (std::size_t s = 0; s < streams_.size(); ++s) {
    if (weights_[s].choose > 0) partitions_.push_back(make_partition(weights_[s].choose, 0));
    if (weights_[s].choose == 0 || (batching_ != Batching::kStratified && batches_of_stream(s) == 0)) {
      fail<DataError>("data.streams.{}: its {} samples in an epoch do not fill a single batch of its own, which data.mosaic.batching_method = \"{}\" asks for",
                      streams_[s].name, weights_[s].choose, settings_.batching_method);
    }
  }
}

void MosaicOrder::make_portions() {
  std::vector<std::pair<double, std::size_t>> left;
  std::int64_t missing = batch_size_;
  for (std::size_t s = 0; s < streams_.size(); ++s) {
    portions_.push_back(static_cast<std::int64_t>(weights_[s].proportion * static_cast<double>(batch_size_)));
    left.emplace_back(static_cast<double>(batch_size_) * weights_[s].proportion - static_cast<double>(portions_[s]), s);
    missing -= portions_[s];
  }
  // The largest fractions first; of equal ones the later stream.
  std::sort(left.rbegin(), left.rend());
  for (std::size_t i = 0; i < static_cast<std::size_t>(std::max<std::int64_t>(missing, 0)) && i < left.size(); ++i) ++portions_[left[i].second];
  for (std::size_t s = 0; s < streams_.size(); ++s) {
    if (portions_[s] > 0) continue;
    fail<ConfigError>("data.streams.{}: its share of data.batch_size = {} is no sample, which data.mosaic.batching_method = \"stratified\" does not allow: "
                      "raise one of the two",
                      streams_[s].name, batch_size_);
  }
}

std::int64_t MosaicOrder::batches_of_stream(std::size_t stream) const {
  const std::int64_t rows = partitions_[stream].rank_rows();
  switch (batching_) {
    case Batching::kRandom:
      return partitions_[0].batches();
    case Batching::kStratified:
      return rows * ranks_per_node_ / portions_[stream];
    case Batching::kPerStream:
      return rows / partitions_[stream].shape().device_batch;
    case Batching::kDevicePerStream:  // of each node
      return rows * (canonical_nodes_ / nodes_) * ranks_per_node_ / device_batch_;
  }
  return 0;
}

const MosaicPartition& MosaicOrder::partition_of(std::int64_t epoch) const {
  return start_partition_ && epoch == start_epoch_ ? *start_partition_ : partitions_[0];
}

std::int64_t MosaicOrder::skipped_steps(std::int64_t epoch) const {
  return batching_ != Batching::kRandom && epoch == start_epoch_ ? start_sample_ / batch_size_ : 0;
}

std::int64_t MosaicOrder::steps(std::int64_t epoch) const {
  if (batching_ == Batching::kRandom) return partition_of(epoch).batches();
  std::int64_t total = 0;
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  for (std::size_t s = 0; s < streams_.size(); ++s) {
    total += batches_of_stream(s);
    least = std::min(least, batches_of_stream(s));
  }
  std::int64_t all = batching_ == Batching::kStratified ? least : total;
  if (batching_ == Batching::kDevicePerStream) all = (total + ranks_per_node_ - 1) / ranks_per_node_;
  return std::max<std::int64_t>(all - skipped_steps(epoch), 0);
}

std::int64_t MosaicOrder::batch_rows(std::int64_t epoch, std::int64_t step) const {
  if (batching_ == Batching::kRandom) return partition_of(epoch).batch_rows(step);
  if (step < 0 || step >= steps(epoch)) return 0;
  if (batching_ != Batching::kDevicePerStream) return batch_size_;
  std::int64_t of_node = 0;
  for (std::size_t s = 0; s < streams_.size(); ++s) of_node += batches_of_stream(s);
  const std::int64_t devices = nodes_ * ranks_per_node_;
  return std::clamp<std::int64_t>(of_node * nodes_ - (step + skipped_steps(epoch)) * devices, 0, devices) * device_batch_;
}

MosaicShuffle MosaicOrder::shuffle_of(std::size_t part) const {
  MosaicShuffle shuffle{.algorithm = parse_mosaic_algorithm(settings_.shuffle_algo), .canonical_nodes = canonical_nodes_,
                        .seed = static_cast<std::uint64_t>(settings_.shuffle_seed), .block_size = block_size_};
  if (batching_ == Batching::kRandom) return shuffle;
  shuffle.block_size = static_cast<std::int64_t>(static_cast<double>(block_size_) * weights_[part].proportion);
  if (shuffle.block_size == 0 && batching_ == Batching::kDevicePerStream) {
    fail<ConfigError>("data.streams.{}: its share of data.mosaic.shuffle_block_size = {} is no sample: raise one of the two", streams_[part].name, block_size_);
  }
  return shuffle;
}

MosaicOrder::PlacedSamples MosaicOrder::place_samples(std::size_t part, std::int64_t epoch) const {
  const bool together = batching_ == Batching::kRandom;
  std::vector<const StreamShape*> streams;
  std::vector<std::int64_t> first;
  std::vector<std::int64_t> choose;
  for (std::size_t s = 0; s < streams_.size(); ++s) {
    if (!together && s != part) continue;
    streams.push_back(&streams_[s]);
    first.push_back(first_sample_[s]);
    choose.push_back(weights_[s].choose);
  }
  MosaicSampling::Epoch sampled = sampling_.resample(streams, first, choose, epoch);
  PlacedSamples placed{std::move(sampled.samples), first[0]};
  if (!settings_.shuffle) return placed;
  std::vector<std::uint32_t> order = shuffle_of(part).order(sampled.units, epoch);
  for (std::uint32_t& place : order) place = static_cast<std::uint32_t>(placed.at(place));
  placed.samples = std::move(order);
  return placed;
}

/// Which stream each batch is of: a shuffled list in which every stream stands as often as it has batches.
void MosaicOrder::draw_origins(std::int64_t epoch, Epoch& made) const {
  const bool changes = settings_.shuffle && sampling_.balanced;
  NumpyGenerator generator(sampling_.seed + (changes ? static_cast<std::uint64_t>(epoch) : 0));
  std::vector<std::uint32_t> origins;
  for (std::size_t s = 0; s < streams_.size(); ++s) origins.insert(origins.end(), static_cast<std::size_t>(batches_of_stream(s)), static_cast<std::uint32_t>(s));
  const std::int64_t lists = batching_ == Batching::kDevicePerStream ? nodes_ : 1;
  for (std::int64_t list = 0; list < lists; ++list) {
    std::vector<std::uint32_t> shuffled = origins;
    generator.shuffle(std::span(shuffled));
    std::vector<std::uint32_t> next(streams_.size(), 0);
    for (const std::uint32_t origin : shuffled) {
      made.origins.push_back(origin);
      made.numbers.push_back(next[origin]++);
    }
  }
}

std::shared_ptr<const MosaicOrder::Epoch> MosaicOrder::epoch_order(std::int64_t epoch) const {
  const std::lock_guard lock(cache_->mutex);
  const std::size_t slot = static_cast<std::size_t>(epoch) % cache_->entries.size();
  if (cache_->epochs[slot] == epoch) return cache_->entries[slot];
  cache_->entries[slot] = nullptr;  // makes room first
  cache_->epochs[slot] = -1;
  auto made = std::make_shared<Epoch>();
  for (std::size_t part = 0; part < partitions_.size(); ++part) made->parts.push_back(place_samples(part, epoch));
  if (batching_ == Batching::kPerStream || batching_ == Batching::kDevicePerStream) draw_origins(epoch, *made);
  cache_->epochs[slot] = epoch;
  cache_->entries[slot] = made;
  return made;
}

void MosaicOrder::stratified_rows(const Epoch& order, std::int64_t batch, std::int64_t begin, std::int64_t end, std::int64_t* samples) const {
  std::int64_t first = 0;  // row of the batch at which the stream's portion begins
  for (std::size_t s = 0; s < streams_.size(); first += portions_[s], ++s) {
    for (std::int64_t row = std::max(begin, first); row < std::min(end, first + portions_[s]); ++row) {
      const std::int64_t number = batch * portions_[s] + row - first;
      *samples++ = order.parts[s].at(partitions_[s].place(0, number % ranks_per_node_, number / ranks_per_node_));
    }
  }
}

void MosaicOrder::device_rows(const Epoch& order, std::int64_t batch, std::int64_t begin, std::int64_t end, std::int64_t* samples) const {
  const std::int64_t canonical_per_node = canonical_nodes_ / nodes_;
  const auto of_node = static_cast<std::int64_t>(order.origins.size()) / nodes_;
  for (std::int64_t row = begin; row < end; ++row) {
    // Device batches take turns by node, whichever device they end on.
    const std::int64_t turn = batch * nodes_ * ranks_per_node_ + row / device_batch_;
    const std::int64_t node = turn % nodes_;
    const auto entry = static_cast<std::size_t>(node * of_node + turn / nodes_);
    const std::uint32_t stream = order.origins[entry];
    const std::int64_t number = order.numbers[entry] * device_batch_ + row % device_batch_;
    const std::int64_t canonical = node * canonical_per_node + number / ranks_per_node_ % canonical_per_node;
    const std::int64_t place = partitions_[stream].place(canonical, number % ranks_per_node_, number / (ranks_per_node_ * canonical_per_node));
    *samples++ = order.parts[stream].at(place);
  }
}

void MosaicOrder::batch(std::int64_t epoch, std::int64_t step, std::int64_t begin, std::int64_t end, std::vector<std::int64_t>& samples) const {
  samples.resize(static_cast<std::size_t>(std::max<std::int64_t>(end - begin, 0)));
  if (samples.empty()) return;
  const std::shared_ptr<const Epoch> order = epoch_order(epoch);
  const std::int64_t batch = step + skipped_steps(epoch);
  const auto look_up = [&](const PlacedSamples& part) {
    for (std::int64_t& sample : samples) sample = part.at(sample);
  };
  switch (batching_) {
    case Batching::kRandom:
      partition_of(epoch).places(batch, begin, end, samples.data());
      look_up(order->parts[0]);
      break;
    case Batching::kStratified:
      stratified_rows(*order, batch, begin, end, samples.data());
      break;
    case Batching::kPerStream: {
      const std::uint32_t stream = order->origins[static_cast<std::size_t>(batch)];
      partitions_[stream].places(order->numbers[static_cast<std::size_t>(batch)], begin, end, samples.data());
      look_up(order->parts[stream]);
      break;
    }
    case Batching::kDevicePerStream:
      device_rows(*order, batch, begin, end, samples.data());
      break;
  }
}

MosaicState MosaicOrder::state_after(std::int64_t epoch, std::int64_t step) const {
  MosaicState state{.epoch = epoch, .sample_in_epoch = step * batch_size_, .num_canonical_nodes = canonical_nodes_,
                    .shuffle_seed = settings_.shuffle_seed, .initial_physical_nodes = initial_nodes_.value_or(nodes_)};
  if (epoch == start_epoch_) state.sample_in_epoch += batching_ == Batching::kRandom ? start_sample_ : skipped_steps(epoch) * batch_size_;
  return state;
}

std::int64_t MosaicOrder::chunks_in_reach() const {
  std::int64_t chunks = 0;
  std::int64_t samples = 0;
  for (const StreamShape& stream : streams_) {
    chunks += static_cast<std::int64_t>(stream.chunk_samples.size());
    samples += stream.samples();
  }
  if (settings_.shuffle && settings_.shuffle_algo == "naive") return chunks;
  const bool blocks = settings_.shuffle && (settings_.shuffle_algo == "py1e" || settings_.shuffle_algo == "py1br");
  // Of each canonical node: the chunk that its place is in and its neighbour; with blocks those that a block of the largest size spans.
  const double spanned = blocks ? 1.25 * static_cast<double>(block_size_) * static_cast<double>(chunks) / static_cast<double>(samples) : 0.0;
  const auto of_node = 2 + static_cast<std::int64_t>(spanned);
  const auto streams = batching_ == Batching::kRandom ? std::int64_t{1} : static_cast<std::int64_t>(streams_.size());
  return std::min(chunks, canonical_nodes_ * of_node * streams);
}

std::string MosaicOrder::block_warning() const {
  if (!settings_.shuffle) return {};
  for (std::size_t part = 0; part < partitions_.size(); ++part) {
    std::int64_t largest = 0;
    for (std::size_t s = 0; s < streams_.size(); ++s) {
      if (batching_ != Batching::kRandom && s != part) continue;
      for (const std::int64_t size : streams_[s].chunk_samples) largest = std::max(largest, size);
    }
    const MosaicShuffle shuffle = shuffle_of(part);
    if (!shuffle.degenerates(largest)) continue;
    const bool of_stream = batching_ != Batching::kRandom && streams_.size() > 1;
    const double share = batching_ == Batching::kRandom ? 1.0 : weights_[part].proportion;
    const auto wanted = static_cast<std::int64_t>(4.0 * static_cast<double>(largest) / share) + 1;
    return fmt::format("data.mosaic: py1e moves samples within blocks of {} to {} samples{}, but the largest shard holds {}: samples of such shards hardly meet "
                       "those of others, and batches look like one shard. Set data.mosaic.shuffle_block_size to {} or so, or write shards of fewer rows (the "
                       "order is no longer that of a job without this change)",
                       static_cast<std::int64_t>(0.75 * static_cast<double>(shuffle.block_size)), static_cast<std::int64_t>(1.25 * static_cast<double>(shuffle.block_size)) - 1,
                       of_stream ? fmt::format(" in data.streams.{}", streams_[part].name) : std::string(), largest, wanted);
  }
  return {};
}

}  // namespace rechost
