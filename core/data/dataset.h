#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/batch.h"
#include "data/order.h"
#include "data/schema.h"
#include "data/source.h"
#include "data/vocabulary.h"

namespace rechost {

class ChunkWindow;
class RowStore;

/// One prepared split: good rows only, encoded, numbered 0, 1, 2, ... in the order of the files. Made by prepare_data().
class Dataset {
 public:
  /// What prepare_data() hands over; exactly one of `store` and `window` is set.
  struct Parts {
    std::string name;
    std::shared_ptr<const EncodingPlan> plan;
    std::shared_ptr<const Vocabularies> vocabularies;
    std::vector<std::int64_t> chunk_samples;
    std::vector<StreamShape> streams; ///< the same, by the streams that they came from, and the weights of those
    std::shared_ptr<const RowStore> store; ///< all rows in memory
    std::unique_ptr<ChunkWindow> window; ///< chunks decoded when asked for, a bounded number kept
    bool lists_candidates = false;
    std::optional<double> best_auc;
    std::uint64_t fingerprint = 0;
  };
  explicit Dataset(Parts parts);
  ~Dataset();
  Dataset(const Dataset&) = delete;  // pipelines refer to it
  Dataset& operator=(const Dataset&) = delete;

  const std::string& name() const { return parts_.name; }
  const BatchSchema& schema() const { return parts_.plan->schema; }
  const EncodingPlan& plan() const { return *parts_.plan; }
  const Vocabularies& vocabularies() const { return *parts_.vocabularies; }
  std::shared_ptr<const Vocabularies> shared_vocabularies() const { return parts_.vocabularies; }
  std::int64_t samples() const { return chunk_begin_.back(); }
  const std::vector<std::int64_t>& chunk_samples() const { return parts_.chunk_samples; }
  const std::vector<StreamShape>& streams() const { return parts_.streams; }
  bool resident() const { return parts_.store != nullptr; }
  std::uint64_t memory_bytes() const;
  /// schema().has_candidates says that some split does; the lists of the others are empty.
  bool lists_candidates() const { return parts_.lists_candidates; }
  std::optional<double> best_auc() const { return parts_.best_auc; }
  std::uint64_t fingerprint() const { return parts_.fingerprint; }

  /// Replaces the columns of `batch` by these samples, in this order; sets rows and samples, not step and epoch. A split in memory
  /// allocates nothing once the vectors have grown. `samples` may be batch.samples. Any thread. DataError: no such sample; a chunk must be read again and has changed.
  void gather(std::span<const std::int64_t> samples, Batch& batch) const;
  /// Samples [first, first + count).
  void gather_range(std::int64_t first, std::int64_t count, Batch& batch) const;

  /// The chunk of a sample; `guess`: one that it may be, or -1.
  std::int64_t chunk_of(std::int64_t sample, std::int64_t guess) const;
  /// Whether chunks are brought from afar while batches are gathered: then read_ahead() is worth while.
  bool remote() const;
  /// Chunks that will be gathered from next, in this order; replaces what was said before. Any thread; does not wait.
  void read_ahead(std::span<const std::int64_t> chunks) const;

 private:
  void gather_from_window(std::span<const std::int64_t> samples, Batch& batch) const;

  Parts parts_;
  std::vector<std::int64_t> chunk_begin_;  ///< [chunks + 1] first sample of each chunk
};

}  // namespace rechost
