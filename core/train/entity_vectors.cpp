#include "train/entity_vectors.h"

#include <algorithm>

namespace rechost {

std::vector<float> entity_vectors(ModelRuntime& model, const Catalogue& catalogue, std::size_t head, std::int64_t rows_at_once) {
  const std::int64_t dim = model.spec().heads[head].size;
  std::vector<float> vectors(static_cast<std::size_t>(catalogue.size() * dim));
  Batch entries;
  PreparedBatch prepared;
  Communicator& ranks = model.communicator();
  std::vector<std::int64_t> bytes(static_cast<std::size_t>(ranks.world_size()));
  // In each round every rank works on a part of the catalogue, and all get all parts.
  for (std::int64_t round = 0; round < catalogue.size(); round += rows_at_once * ranks.world_size()) {
    const auto count_of = [&](std::int64_t rank) {
      return std::clamp<std::int64_t>(catalogue.size() - round - rank * rows_at_once, 0, rows_at_once);
    };
    for (std::size_t rank = 0; rank < bytes.size(); ++rank) {
      bytes[rank] = count_of(static_cast<std::int64_t>(rank)) * dim * static_cast<std::int64_t>(sizeof(float));
    }
    const std::int64_t total = std::min(rows_at_once * ranks.world_size(), catalogue.size() - round);
    const auto all = std::span(vectors).subspan(static_cast<std::size_t>(round * dim), static_cast<std::size_t>(total * dim));
    std::span<const float> own;
    if (count_of(ranks.rank()) > 0) {
      catalogue.fill(round + ranks.rank() * rows_at_once, count_of(ranks.rank()), entries);
      model.prepare_entity(catalogue, entries, prepared);
      own = model.predict(entries, prepared, std::uint64_t{1} << head)[head];
    } else {
      model.predict_nothing();
    }
    ranks.all_gather(std::as_bytes(own), bytes, std::as_writable_bytes(all));
  }
  return vectors;
}

}  // namespace rechost
