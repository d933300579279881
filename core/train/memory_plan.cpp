#include "train/memory_plan.h"

#include <algorithm>

namespace rechost {
namespace {

/// PreparedIds holds, for each id: the id, two sort keys of 8 bytes, position, inverse, and at most one unique row and segment offset.
constexpr std::uint64_t kPreparedBytesPerId = 4 + 16 + 4 + 4 + 4 + 4;

}  // namespace

MemoryPlan plan_memory(const Config& config, const RunData& data, const ModelRuntime& model) {
  MemoryPlan plan;
  plan.tables = model.table_bytes() + model.dynamic().most_memory_bytes();
  plan.dense = model.dense_bytes();
  double ids_per_row = 0.0;
  for (const Dataset* split : {data.prepared.train.get(), data.prepared.valid.get(), data.prepared.test.get()}) {
    if (split == nullptr) continue;
    plan.decoded_rows += split->memory_bytes();
    if (split == data.prepared.train.get() && split->samples() > 0 && split->resident()) {
      // What a resident row occupies beside its numbers are its ids, whatever the lengths of its lists.
      const std::uint64_t numbers = sizeof(float) * (split->schema().dense.size() + split->schema().labels.size());
      const double row = static_cast<double>(split->memory_bytes()) / static_cast<double>(split->samples());
      ids_per_row = std::max(0.0, row - static_cast<double>(numbers)) / sizeof(std::int32_t);
    }
  }
  const BatchSchema& schema = model.schema();
  ids_per_row = std::max(ids_per_row, static_cast<double>(schema.sparse.size()));
  const auto rows = static_cast<double>(config.data.batch_size);
  const double batch = rows * (4.0 * static_cast<double>(schema.dense.size() + schema.labels.size()) + ids_per_row * (4.0 + kPreparedBytesPerId));
  double block_floats = 0.0;
  for (const ModelSpec::Embedding& embedding : model.spec().embeddings) {
    block_floats += static_cast<double>(model.tables().table(embedding.table).dim);
  }
  const double ahead = std::min(batch * static_cast<double>(config.data.prefetch), std::max(batch, config.data.prefetch_gib * static_cast<double>(std::uint64_t{1} << 30)));
  plan.batches = static_cast<std::uint64_t>(ahead + batch * 2.0 + rows * block_floats * 4.0 * 2.0);
  return plan;
}

}  // namespace rechost
