#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/source.h"

namespace rechost {

/// The encoded rows of a prepared split as a loader would give them: numbers as they enter the model, rows of tables in place of ids, keys of dynamic
/// tables where those have none by themselves. Its chunks are those of the split.
class DatasetSource : public ChunkSource {
 public:
  /// Refers to `dataset`. Columns: dense features, sparse features, labels, weight, candidates, weights of ids; each sparse one has the rows of its
  /// table as cardinality, dynamic ones none. Lists of keys are without those that fill them up.
  explicit DatasetSource(const Dataset& dataset);

  const std::vector<ColumnInfo>& columns() const override { return columns_; }
  std::int64_t chunk_count() const override { return static_cast<std::int64_t>(dataset_.chunk_samples().size()); }
  std::int64_t chunk_rows(std::int64_t chunk) const override { return dataset_.chunk_samples()[static_cast<std::size_t>(chunk)]; }
  std::unique_ptr<ChunkData> read(std::int64_t chunk, std::span<const std::uint32_t> wanted, const std::function<void(BadRow&&)>& bad_row) override;
  void read_ahead(std::span<const std::int64_t> chunks) override { dataset_.read_ahead(chunks); }
  bool remote() const override { return dataset_.remote(); }
  std::uint64_t fingerprint() override { return dataset_.fingerprint(); }
  std::optional<double> best_auc() const override { return dataset_.best_auc(); }

 private:
  const Dataset& dataset_;
  std::vector<ColumnInfo> columns_;
  std::size_t first_weights_ = 0;          // in columns_
  std::vector<std::size_t> weights_of_;    // by column from there: the sparse feature whose ids they count
  bool dynamic_candidates_ = false;
  std::vector<std::int64_t> chunk_begin_;  // [chunks] first sample
};

/// The column of a DatasetSource with the weights of a feature's ids.
std::string weights_column(const FeatureInfo& feature);

}  // namespace rechost
