#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/source.h"

namespace rechost {

/// Several sources of the same columns as one: the chunks of the first, then those of the second, ...
class CombinedSource : public ChunkSource {
 public:
  struct Part {
    std::string name;  ///< for messages
    std::shared_ptr<ChunkSource> source;
  };

  /// At least one part. DataError names the part and the column that is not as in the first part. A column's cardinality is the largest.
  explicit CombinedSource(std::vector<Part> parts);

  const std::vector<ColumnInfo>& columns() const override { return columns_; }
  std::int64_t chunk_count() const override { return first_chunk_.back(); }
  std::int64_t chunk_rows(std::int64_t chunk) const override;
  std::unique_ptr<ChunkData> read(std::int64_t chunk, std::span<const std::uint32_t> wanted,
                                  const std::function<void(BadRow&&)>& bad_row) override;
  void read_ahead(std::span<const std::int64_t> chunks) override;
  bool remote() const override;
  void show_rows(std::int64_t chunk, std::span<const std::int64_t> rows, const std::function<void(BadRow&&)>& show) override;
  std::uint64_t fingerprint() override;
  std::optional<double> best_auc() const override;

 private:
  std::size_t part_of(std::int64_t chunk) const;
  void add_columns(const Part& part);

  std::vector<Part> parts_;
  std::vector<std::int64_t> first_chunk_;  ///< [parts + 1]
  std::vector<ColumnInfo> columns_;
};

}  // namespace rechost
