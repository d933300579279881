#include "train/entity_vectors.h"

#include <algorithm>

namespace rechost {

std::vector<float> entity_vectors(ModelRuntime& model, const Catalogue& catalogue, std::size_t head, std::int64_t rows_at_once) {
  const std::int64_t dim = model.spec().heads[head].size;
  std::vector<float> vectors(static_cast<std::size_t>(catalogue.size() * dim));
  Batch entries;
  PreparedBatch prepared;
  for (std::int64_t first = 0; first < catalogue.size(); first += rows_at_once) {
    const std::int64_t count = std::min(rows_at_once, catalogue.size() - first);
    catalogue.fill(first, count, entries);
    model.prepare_entity(catalogue, entries, prepared);
    const auto outputs = model.predict(entries, prepared, std::uint64_t{1} << head);
    std::copy(outputs[head].begin(), outputs[head].end(), vectors.begin() + first * dim);
  }
  return vectors;
}

}  // namespace rechost
