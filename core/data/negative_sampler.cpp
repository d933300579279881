#include "data/negative_sampler.h"

#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/philox.h"

namespace rechost {

NegativeSampler::NegativeSampler(std::span<const std::int64_t> counts, double power, std::uint64_t seed) : seed_(seed) {
  const std::size_t size = counts.size();
  std::vector<double> weights(size);
  double sum = 0.0;
  for (std::size_t i = 0; i < size; ++i) {
    weights[i] = power == 0.0 ? 1.0 : counts[i] > 0 ? std::pow(static_cast<double>(counts[i]), power) : 0.0;
    sum += weights[i];
  }
  if (!(sum > 0.0)) fail<DataError>("no negative can be drawn: none of {} entries occurs in the training split", size);

  log_probabilities_.resize(size);
  cells_.resize(size);
  std::vector<std::int32_t> small;
  std::vector<std::int32_t> large;
  for (std::size_t i = 0; i < size; ++i) {
    log_probabilities_[i] = weights[i] > 0.0 ? static_cast<float>(std::log(weights[i] / sum)) : -std::numeric_limits<float>::infinity();
    cells_[i] = {weights[i] / sum * static_cast<double>(size), static_cast<std::int32_t>(i)};
    (cells_[i].keep < 1.0 ? small : large).push_back(static_cast<std::int32_t>(i));
  }
  // Each cell that is not full is topped up by one entry that has too much.
  while (!small.empty() && !large.empty()) {
    Cell& needy = cells_[static_cast<std::size_t>(small.back())];
    const std::int32_t giver = large.back();
    small.pop_back();
    needy.alias = giver;
    Cell& rich = cells_[static_cast<std::size_t>(giver)];
    rich.keep -= 1.0 - needy.keep;
    if (rich.keep < 1.0) {
      large.pop_back();
      small.push_back(giver);
    }
  }
  // What is left is full but for rounding. A cell of weight 0 always found a giver before its neighbours ran dry, or it must point to one.
  std::int32_t heaviest = 0;
  for (std::size_t i = 0; i < size; ++i) {
    if (weights[i] > weights[static_cast<std::size_t>(heaviest)]) heaviest = static_cast<std::int32_t>(i);
  }
  for (const std::vector<std::int32_t>* rest : {&small, &large}) {
    for (const std::int32_t entry : *rest) {
      Cell& cell = cells_[static_cast<std::size_t>(entry)];
      if (weights[static_cast<std::size_t>(entry)] > 0.0) {
        cell.keep = 1.0;
      } else {
        cell = {0.0, heaviest};
      }
    }
  }
}

void NegativeSampler::draw(std::int64_t step, std::int64_t first_position, std::span<std::int32_t> entries) const {
  const Philox generator(derive_seed(seed_, static_cast<std::uint64_t>(step)));
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const Philox::Block block = generator(static_cast<std::uint64_t>(first_position) + i);
    const std::uint64_t which = (std::uint64_t{block[1]} << 32) | block[0];
    const std::uint64_t toss = (std::uint64_t{block[3]} << 32) | block[2];
    const Cell& cell = cells_[static_cast<std::size_t>(uniform_below(which, cells_.size()))];
    const auto own = static_cast<std::int32_t>(&cell - cells_.data());
    entries[i] = uniform_double(toss) < cell.keep ? own : cell.alias;
  }
}

}  // namespace rechost
