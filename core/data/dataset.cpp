#include "data/dataset.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "data/chunk_window.h"
#include "data/row_store.h"

namespace rechost {

Dataset::Dataset(Parts parts) : parts_(std::move(parts)) {
  chunk_begin_.resize(parts_.chunk_samples.size() + 1, 0);
  std::partial_sum(parts_.chunk_samples.begin(), parts_.chunk_samples.end(), chunk_begin_.begin() + 1);
}

Dataset::~Dataset() = default;

std::uint64_t Dataset::memory_bytes() const { return resident() ? parts_.store->memory_bytes() : parts_.window->memory_bytes(); }

std::int64_t Dataset::chunk_of(std::int64_t sample, std::int64_t guess) const {
  if (guess >= 0 && sample >= chunk_begin_[static_cast<std::size_t>(guess)] && sample < chunk_begin_[static_cast<std::size_t>(guess) + 1]) return guess;
  return std::upper_bound(chunk_begin_.begin(), chunk_begin_.end(), sample) - chunk_begin_.begin() - 1;
}

bool Dataset::remote() const { return !resident() && parts_.window->remote(); }

void Dataset::read_ahead(std::span<const std::int64_t> chunks) const {
  if (!resident()) parts_.window->read_ahead(chunks);
}

void Dataset::gather(std::span<const std::int64_t> samples, Batch& batch) const {
  for (const std::int64_t sample : samples) {
    if (sample < 0 || sample >= this->samples()) fail<DataError>("{} has no sample {} (it has {})", name(), sample, this->samples());
  }
  if (resident()) {
    gather_rows(schema(), *parts_.store, samples, batch);
  } else {
    gather_from_window(samples, batch);
  }
  if (samples.data() != batch.samples.data()) batch.samples.assign(samples.begin(), samples.end());
}

void Dataset::gather_from_window(std::span<const std::int64_t> samples, Batch& batch) const {
  std::vector<std::int64_t> chunk_of(samples.size());
  for (std::size_t i = 0; i < samples.size(); ++i) {
    chunk_of[i] = this->chunk_of(samples[i], i > 0 ? chunk_of[i - 1] : -1);
  }
  std::vector<std::int64_t> chunks = chunk_of;
  std::sort(chunks.begin(), chunks.end());
  chunks.erase(std::unique(chunks.begin(), chunks.end()), chunks.end());
  const std::vector<std::shared_ptr<const RowStore>> stores = parts_.window->get(chunks);  // held until the rows are copied
  std::vector<RowPlace> places(samples.size());
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const auto place = static_cast<std::size_t>(std::lower_bound(chunks.begin(), chunks.end(), chunk_of[i]) - chunks.begin());
    places[i] = {stores[place].get(), samples[i] - chunk_begin_[static_cast<std::size_t>(chunk_of[i])]};
  }
  gather_rows(schema(), parts_.window->layout(), places, batch);
}

void Dataset::gather_range(std::int64_t first, std::int64_t count, Batch& batch) const {
  batch.samples.resize(static_cast<std::size_t>(count));
  std::iota(batch.samples.begin(), batch.samples.end(), first);
  gather(batch.samples, batch);
}

}  // namespace rechost
