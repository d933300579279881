#include "data/mosaic_sampling.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "data/numpy_random.h"

namespace rechost {
namespace {

/// numpy.sum() of float64: in pairs of halves, eight sums side by side below 129 elements. The order of additions decides the last bit.
double numpy_sum(std::span<const double> values) {
  if (values.size() < 8) return std::accumulate(values.begin(), values.end(), 0.0);
  if (values.size() > 128) {
    std::size_t half = values.size() / 2;
    half -= half % 8;
    return numpy_sum(values.first(half)) + numpy_sum(values.subspan(half));
  }
  double sums[8];
  std::copy_n(values.begin(), 8, sums);
  std::size_t i = 8;
  for (; i + 8 <= values.size(); i += 8) {
    for (std::size_t j = 0; j < 8; ++j) sums[j] += values[i + j];
  }
  double total = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
  for (; i < values.size(); ++i) total += values[i];
  return total;
}

std::string stream_text(const StreamShape& stream) { return "data.streams." + stream.name; }

std::vector<StreamWeight> absolute_weights(std::span<const StreamShape> streams) {
  std::vector<StreamWeight> weights(streams.size());
  std::int64_t total = 0;
  for (std::size_t s = 0; s < streams.size(); ++s) {
    const StreamShape& stream = streams[s];
    weights[s].choose = stream.repeat ? static_cast<std::int64_t>(*stream.repeat * static_cast<double>(stream.samples())) : stream.choose.value_or(stream.samples());
    total += weights[s].choose;
  }
  for (StreamWeight& weight : weights) weight.proportion = static_cast<double>(weight.choose) / static_cast<double>(total);
  return weights;
}

}  // namespace

std::int64_t StreamShape::samples() const { return std::accumulate(chunk_samples.begin(), chunk_samples.end(), std::int64_t{0}); }

std::vector<StreamWeight> stream_weights(std::span<const StreamShape> streams, std::int64_t epoch_size, std::uint64_t seed) {
  bool unspecified = true;
  for (const StreamShape& stream : streams) {
    const int given = int{stream.proportion.has_value()} + int{stream.repeat.has_value()} + int{stream.choose.has_value()};
    if (given > 1) fail<ConfigError>("{} has more than one of proportion, repeat and choose: keep one", stream_text(stream));
    if (stream.proportion.has_value() != streams[0].proportion.has_value()) {
      fail<ConfigError>("{} and {}: proportion is relative to other streams, repeat, choose and no weight are not: give all streams a "
                        "proportion, or none",
                        stream_text(streams[0]), stream_text(stream));
    }
    if (given > 0) unspecified = false;
    if (stream.samples() == 0) fail<DataError>("{} has no training samples", stream.name.empty() ? "the data" : stream_text(stream));
  }
  const bool relative = streams[0].proportion.has_value();
  if (!relative && !(unspecified && epoch_size > 0)) {
    if (epoch_size > 0) fail<ConfigError>("data.epoch_size beside streams with repeat or choose: those fix the size of an epoch; drop one of the two");
    return absolute_weights(streams);
  }

  std::vector<double> parts;
  std::int64_t there = 0;
  for (const StreamShape& stream : streams) {
    parts.push_back(relative ? *stream.proportion : static_cast<double>(stream.samples()));
    there += stream.samples();
  }
  const double sum = numpy_sum(parts);
  if (!(sum > 0.0)) fail<ConfigError>("data.streams: all proportions are 0");
  if (epoch_size == 0) epoch_size = there;
  std::vector<StreamWeight> weights(streams.size());
  std::int64_t shortfall = epoch_size;
  for (std::size_t s = 0; s < streams.size(); ++s) {
    weights[s].proportion = parts[s] / sum;
    weights[s].choose = static_cast<std::int64_t>(static_cast<double>(epoch_size) * weights[s].proportion);
    shortfall -= weights[s].choose;
  }
  NumpyGenerator generator(seed);
  for (const std::uint32_t s : generator.choice(static_cast<std::uint32_t>(streams.size()), static_cast<std::uint32_t>(std::max<std::int64_t>(shortfall, 0)))) {
    ++weights[s].choose;
  }
  return weights;
}

std::vector<std::int64_t> MosaicSampling::chunk_choices(std::span<const std::int64_t> chunk_samples, std::int64_t choose, std::int64_t epoch) const {
  const std::int64_t samples = std::accumulate(chunk_samples.begin(), chunk_samples.end(), std::int64_t{0});
  std::vector<std::int64_t> chosen(chunk_samples.begin(), chunk_samples.end());
  for (std::int64_t& each : chosen) each *= choose / samples;
  choose %= samples;
  if (choose == 0) return chosen;

  // Picks of `granularity` samples, the last of each chunk as small as it has to be.
  std::vector<std::int64_t> pick_end(chunk_samples.size());
  std::int64_t picks = 0;
  for (std::size_t chunk = 0; chunk < chunk_samples.size(); ++chunk) pick_end[chunk] = picks += (chunk_samples[chunk] + granularity - 1) / granularity;
  std::vector<std::int64_t> last_size(chunk_samples.size());
  for (std::size_t chunk = 0; chunk < chunk_samples.size(); ++chunk) {
    last_size[chunk] = chunk_samples[chunk] - ((chunk_samples[chunk] + granularity - 1) / granularity - 1) * granularity;
    // The package writes the size of an empty chunk's last pick, a whole one, to the pick before it: the last of the chunk before.
    if (chunk_samples[chunk] != 0) continue;
    for (std::size_t before = chunk; before-- > 0;) {
      if (chunk_samples[before] == 0) continue;
      last_size[before] = granularity;
      break;
    }
  }
  NumpyGenerator generator(seed + (balanced && shuffle ? static_cast<std::uint64_t>(epoch) : 0));
  std::vector<std::uint32_t> order(static_cast<std::size_t>(picks));
  std::iota(order.begin(), order.end(), 0);
  generator.shuffle(std::span(order));
  for (const std::uint32_t pick : order) {
    const auto chunk = static_cast<std::size_t>(std::upper_bound(pick_end.begin(), pick_end.end(), std::int64_t{pick}) - pick_end.begin());
    const std::int64_t taken = std::min(choose, pick + 1 == pick_end[chunk] ? last_size[chunk] : granularity);
    chosen[chunk] += taken;
    choose -= taken;
    if (choose == 0) break;
  }
  return chosen;
}

MosaicSampling::Epoch MosaicSampling::resample(std::span<const StreamShape* const> streams, std::span<const std::int64_t> first_sample,
                                               std::span<const std::int64_t> choose, std::int64_t epoch) const {
  Epoch result;
  NumpyGenerator generator(seed + (balanced ? static_cast<std::uint64_t>(epoch) : 0));
  bool identity = true;
  const auto leave_identity = [&] {
    if (!identity) return;
    identity = false;
    result.samples.resize(static_cast<std::size_t>(result.count));
    std::iota(result.samples.begin(), result.samples.end(), static_cast<std::uint32_t>(first_sample[0]));
  };
  for (std::size_t s = 0; s < streams.size(); ++s) {
    const std::vector<std::int64_t>& chunk_samples = streams[s]->chunk_samples;
    const std::vector<std::int64_t> chosen = chunk_choices(chunk_samples, choose[s], epoch);
    std::int64_t first = first_sample[s];
    for (std::size_t chunk = 0; chunk < chunk_samples.size(); first += chunk_samples[chunk], ++chunk) {
      const std::int64_t size = chunk_samples[chunk];
      if (size == 0) continue;
      if (chosen[chunk] != size) leave_identity();
      const std::int64_t copies = chosen[chunk] / size;
      const std::int64_t rest = chosen[chunk] % size;
      result.count += chosen[chunk];
      for (std::int64_t copy = 0; copy < copies; ++copy) {
        result.units.push_back(size);
        for (std::int64_t i = 0; !identity && i < size; ++i) result.samples.push_back(static_cast<std::uint32_t>(first + i));
      }
      if (rest == 0) continue;
      result.units.push_back(rest);
      std::vector<std::uint32_t> drawn = generator.choice(static_cast<std::uint32_t>(size), static_cast<std::uint32_t>(rest));
      std::sort(drawn.begin(), drawn.end());
      for (const std::uint32_t sample : drawn) result.samples.push_back(static_cast<std::uint32_t>(first) + sample);
    }
  }
  return result;
}

}  // namespace rechost
