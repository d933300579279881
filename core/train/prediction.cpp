#include "train/prediction.h"

#include <vector>

#include "data/order.h"
#include "data/pipeline.h"

namespace rechost {

void for_each_prediction(ModelRuntime& model, const Dataset& split, std::int64_t rows_at_once, std::uint64_t heads,
                         const std::function<void(const Batch& batch, std::span<const std::span<float>> outputs)>& use) {
  const SampleOrder order({.shuffle = Shuffle::kNone, .seed = 0, .batch_size = rows_at_once}, split.chunk_samples());
  BatchPipeline::Settings settings;
  const std::int64_t ranks = model.world_size();
  settings.first_step = model.communicator().rank();
  settings.end_step = order.steps_per_epoch();
  settings.stride = ranks;
  settings.prefetch = 2;
  std::vector<PreparedBatch> prepared(static_cast<std::size_t>(settings.prefetch) + 1);
  BatchPipeline pipeline(split, order, settings, [&](std::span<Batch> batches, int place, const BatchPipeline::InOrder&) {
    PreparedBatch& own = prepared[static_cast<std::size_t>(place)];
    model.prepare(batches.front(), own);
    return own.memory_bytes();
  });
  Batch batch;
  // All ranks predict together; in the last round some have no batch left.
  for (std::int64_t done = 0; done < order.steps_per_epoch(); done += ranks) {
    if (pipeline.next(batch)) {
      use(batch, model.predict(batch, prepared[static_cast<std::size_t>(pipeline.place())], heads));
    } else {
      model.predict_nothing();
    }
  }
}

}  // namespace rechost
