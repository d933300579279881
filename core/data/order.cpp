#include "data/order.h"

#include <algorithm>

#include "base/checksum.h"
#include "base/error.h"
#include "base/file.h"
#include "base/philox.h"
#include "config/parse.h"
#include "data/permutation.h"

namespace rechost {
namespace {

constexpr std::uint64_t kStreamPurpose = 0x73747265616d;
constexpr std::uint64_t kDrawPurpose = 0x64726177;

std::vector<StreamShape> one_stream(std::vector<std::int64_t> chunk_samples) {
  std::vector<StreamShape> streams(1);
  streams[0].chunk_samples = std::move(chunk_samples);
  return streams;
}

}  // namespace

StreamShape stream_shape(const DataSection& data, const std::string& name) {
  StreamShape shape{.name = name};
  const auto found = data.streams.find(name);
  if (found == data.streams.end()) return shape;
  const StreamSection section = stream_settings(data, name);
  if (found->second.find("proportion") != nullptr) shape.proportion = section.proportion;
  if (found->second.find("repeat") != nullptr) shape.repeat = section.repeat;
  if (found->second.find("choose") != nullptr) shape.choose = section.choose;
  return shape;
}

SampleOrder::Settings order_settings(const DataSection& data, std::uint64_t seed) {
  SampleOrder::Settings settings{.shuffle = parse_shuffle(data.shuffle), .seed = seed, .batch_size = data.batch_size, .window_samples = data.shuffle_window,
                                 .window_chunks = data.shuffle_chunks, .epoch_size = data.epoch_size, .mosaic = data.mosaic};
  if (data.mosaic.state.empty()) return settings;
  if (settings.shuffle != Shuffle::kMosaic) {
    fail<ConfigError>("data.mosaic.state is where an order of shuffle = \"mosaic\" goes on, data.shuffle is \"{}\": change one of the two", data.shuffle);
  }
  std::string text;
  try {
    text = read_file(data.mosaic.state);
  } catch (const Error& error) {
    fail<ConfigError>("data.mosaic.state: {}", error.what());
  }
  settings.mosaic_state = parse_mosaic_state(text, data.mosaic.state);
  return settings;
}

PositionRange share_of(std::int64_t rows, BatchShare share) {
  const auto cut = [&](std::int64_t part) {
    return static_cast<std::int64_t>(static_cast<__int128>(rows) * part / share.of);
  };
  return {cut(share.index), cut(share.index + 1)};
}

SampleOrder::SampleOrder(const Settings& settings, std::vector<std::int64_t> chunk_samples) : SampleOrder(settings, one_stream(std::move(chunk_samples))) {}

SampleOrder::SampleOrder(const Settings& settings, std::vector<StreamShape> streams) : settings_(settings), streams_(std::move(streams)) {
  if (settings_.batch_size < 1) fail<ConfigError>("data.batch_size = {}: at least 1", settings_.batch_size);
  for (const StreamShape& stream : streams_) {
    first_sample_.push_back(samples_);
    samples_ += stream.samples();
  }
  if (samples_ == 0) return;
  if (settings_.shuffle == Shuffle::kMosaic) {
    mosaic_ = std::make_shared<MosaicOrder>(settings_.mosaic, settings_.batch_size, settings_.epoch_size, streams_, settings_.mosaic_state);
    const std::int64_t epoch = mosaic_->first_epoch() + 1;  // a whole one
    const std::int64_t steps = mosaic_->steps(epoch);
    if (steps == 0) fail<DataError>("data.shuffle = \"mosaic\": an epoch has no batch of {} samples: lower data.batch_size", settings_.batch_size);
    epoch_samples_ = (steps - 1) * settings_.batch_size + mosaic_->batch_rows(epoch, steps - 1);
    return;
  }
  for (const StreamWeight& weight : stream_weights(streams_, settings_.epoch_size, settings_.seed)) {
    choose_.push_back(weight.choose);
    epoch_samples_ += weight.choose;
  }
  if (epoch_samples_ == 0) fail<ConfigError>("data.streams: the weights leave an epoch without samples");
  for (std::size_t s = 0; s < streams_.size(); ++s) {
    const std::uint64_t seed = s == 0 ? settings_.seed : derive_seed(derive_seed(settings_.seed, kStreamPurpose), s);
    sequences_.emplace_back(StreamSequence::Settings{settings_.shuffle, seed, settings_.window_samples, settings_.window_chunks}, streams_[s].chunk_samples);
  }
  if (streams_.size() > 1) mix_.emplace(choose_);
}

std::int64_t SampleOrder::steps_per_epoch() const {
  if (mosaic_ != nullptr) return mosaic_->steps(mosaic_->first_epoch() + 1);
  return (epoch_samples_ + settings_.batch_size - 1) / settings_.batch_size;
}

std::int64_t SampleOrder::first_step_of(std::int64_t epoch) const {
  if (mosaic_ == nullptr) return epoch * steps_per_epoch();
  const std::int64_t first = mosaic_->first_epoch();
  return epoch <= first ? 0 : mosaic_->steps(first) + (epoch - first - 1) * steps_per_epoch();
}

EpochStep SampleOrder::locate(std::int64_t global_step) const {
  const std::int64_t steps = steps_per_epoch();
  if (mosaic_ == nullptr) return {global_step / steps, global_step % steps};
  const std::int64_t first = mosaic_->first_epoch();
  const std::int64_t rest = global_step - mosaic_->steps(first);
  return rest < 0 ? EpochStep{first, global_step} : EpochStep{first + 1 + rest / steps, rest % steps};
}

std::int64_t SampleOrder::samples_before(std::int64_t global_step) const {
  const EpochStep place = locate(global_step);
  std::int64_t total = place.step * settings_.batch_size;  // only the last batch of an epoch is short
  if (mosaic_ == nullptr) return total + place.epoch * epoch_samples_;
  const std::int64_t first = mosaic_->first_epoch();
  const std::int64_t steps = mosaic_->steps(first);
  if (place.epoch == first || steps == 0) return total + std::max<std::int64_t>(place.epoch - first - 1, 0) * epoch_samples_;
  total += (steps - 1) * settings_.batch_size + mosaic_->batch_rows(first, steps - 1);
  return total + (place.epoch - first - 1) * epoch_samples_;
}

std::int64_t SampleOrder::batch_rows(EpochStep place) const {
  if (mosaic_ != nullptr) return mosaic_->batch_rows(place.epoch, place.step);
  return std::clamp<std::int64_t>(epoch_samples_ - place.step * settings_.batch_size, 0, settings_.batch_size);
}

void SampleOrder::batch(EpochStep place, BatchShare share, std::vector<std::int64_t>& samples) const {
  PositionRange positions = share_of(batch_rows(place), share);
  if (mosaic_ != nullptr) {
    mosaic_->batch(place.epoch, place.step, positions.begin, positions.end, samples);
    return;
  }
  const std::int64_t first = place.step * settings_.batch_size;
  positions = {first + positions.begin, first + positions.end};
  samples.resize(static_cast<std::size_t>(positions.end - positions.begin));
  if (samples.empty()) return;
  if (!mix_) {
    sequences_[0].fill(place.epoch, choose_[0], positions.begin, positions.end, samples.data());
  } else if (settings_.shuffle == Shuffle::kFull) {
    drawn_batch(place.epoch, positions, samples);
  } else {
    mixed_batch(place.epoch, positions, samples);
  }
}

/// A permutation of the places of all streams, one stream after the other.
void SampleOrder::drawn_batch(std::int64_t epoch, PositionRange positions, std::vector<std::int64_t>& samples) const {
  const std::uint64_t seed = derive_seed(derive_seed(settings_.seed, kDrawPurpose), static_cast<std::uint64_t>(epoch));
  Permutation(static_cast<std::uint64_t>(epoch_samples_), seed).fill(static_cast<std::uint64_t>(positions.begin), positions.end - positions.begin, samples.data());
  // Of a stream that does not come a whole number of times, the samples that come once more are drawn.
  std::vector<Permutation> draws;
  for (std::size_t s = 0; s < streams_.size(); ++s) draws.emplace_back(static_cast<std::uint64_t>(streams_[s].samples()), derive_seed(seed, s));
  for (std::int64_t& sample : samples) {
    std::int64_t place = sample;
    std::size_t s = 0;
    for (; place >= choose_[s]; ++s) place -= choose_[s];
    const std::int64_t size = streams_[s].samples();
    const bool whole = place < choose_[s] - choose_[s] % size;
    sample = first_sample_[s] + (whole ? place % size : static_cast<std::int64_t>(draws[s](static_cast<std::uint64_t>(place % size))));
  }
}

/// Streams mixed evenly, each in its own order.
void SampleOrder::mixed_batch(std::int64_t epoch, PositionRange positions, std::vector<std::int64_t>& samples) const {
  const std::vector<std::int64_t> before = mix_->before(positions.begin);
  const std::vector<std::uint32_t> origins = mix_->streams(positions.begin, positions.end);
  std::vector<std::int64_t> of_stream;
  for (std::size_t s = 0; s < streams_.size(); ++s) {
    of_stream.resize(static_cast<std::size_t>(std::count(origins.begin(), origins.end(), static_cast<std::uint32_t>(s))));
    sequences_[s].fill(epoch, choose_[s], before[s], before[s] + static_cast<std::int64_t>(of_stream.size()), of_stream.data());
    std::size_t next = 0;
    for (std::size_t i = 0; i < origins.size(); ++i) {
      if (origins[i] == s) samples[i] = first_sample_[s] + of_stream[next++];
    }
  }
}

std::string SampleOrder::fingerprint() const {
  std::string text = fmt::format("{} {} {} {} {} {}", static_cast<int>(settings_.shuffle), settings_.seed, settings_.batch_size, settings_.window_samples,
                                 settings_.window_chunks, settings_.epoch_size);
  if (settings_.shuffle == Shuffle::kMosaic) {
    const MosaicSection& mosaic = settings_.mosaic;
    text += fmt::format(" {} {} {} {} {} {} {} {} {} {} {} {}", mosaic.shuffle, mosaic.shuffle_algo, mosaic.shuffle_seed, mosaic.shuffle_block_size,
                        mosaic.num_canonical_nodes, mosaic.partition_algo, mosaic.batching_method, mosaic.sampling_method, mosaic.sampling_granularity,
                        mosaic.replication, mosaic.nodes, mosaic.ranks_per_node);
    if (settings_.mosaic_state) text += mosaic_state_json(*settings_.mosaic_state);
  }
  for (const StreamShape& stream : streams_) {
    text += fmt::format("\n{} {} {} {}:", stream.name, stream.proportion ? fmt::format("{}", *stream.proportion) : "-",
                        stream.repeat ? fmt::format("{}", *stream.repeat) : "-", stream.choose ? fmt::format("{}", *stream.choose) : "-");
    for (const std::int64_t size : stream.chunk_samples) text += fmt::format(" {}", size);
  }
  return checksum_of(text);
}

std::int64_t SampleOrder::chunks_in_reach() const {
  std::int64_t all = 0;
  std::int64_t reach = 0;
  for (const StreamShape& stream : streams_) {
    const auto chunks = static_cast<std::int64_t>(stream.chunk_samples.size());
    all += chunks;
    if (settings_.shuffle == Shuffle::kChunk) reach += 2 * std::min(settings_.window_chunks, chunks);  // a window is in use while the next is decoded
    if (settings_.shuffle == Shuffle::kNone) reach += 3;
    if (settings_.shuffle != Shuffle::kBuffer) continue;
    // Chunks that places up to a window to both sides may lie in; an average does, a smaller chunk is decoded once more.
    const double per_sample = static_cast<double>(chunks) / static_cast<double>(std::max<std::int64_t>(stream.samples(), 1));
    reach += 3 + static_cast<std::int64_t>(2.0 * static_cast<double>(settings_.window_samples) * per_sample);
  }
  if (mosaic_ != nullptr) return mosaic_->chunks_in_reach();
  return settings_.shuffle == Shuffle::kFull ? all : reach;
}

}  // namespace rechost
