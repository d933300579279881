#include "data/combined_source.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/philox.h"

namespace rechost {
namespace {

/// What one column has that the other has not; empty: they may stand in one place.
std::string difference(const ColumnInfo& first, const ColumnInfo& other) {
  if (first.name != other.name) return fmt::format("is called \"{}\"", other.name);
  if (first.role != other.role) return "has another role";
  if (first.type != other.type) return "has another type of values";
  if (first.is_list != other.is_list) return other.is_list ? "holds lists" : "holds no lists";
  if (first.entity != other.entity || first.is_key != other.is_key) return "belongs to another entity";
  if (first.role == ColumnRole::kLabel && first.label_kind != other.label_kind) return "is a label of another kind";
  return "";
}

}  // namespace

CombinedSource::CombinedSource(std::vector<Part> parts) : parts_(std::move(parts)), first_chunk_{0}, columns_(parts_.front().source->columns()) {
  for (const Part& part : parts_) {
    add_columns(part);
    first_chunk_.push_back(first_chunk_.back() + part.source->chunk_count());
  }
}

void CombinedSource::add_columns(const Part& part) {
  const std::vector<ColumnInfo>& columns = part.source->columns();
  if (columns.size() != columns_.size()) {
    fail<DataError>("{} has {} columns, {} has {}: streams are mixed sample by sample, all need the same columns", part.name, columns.size(),
                    parts_.front().name, columns_.size());
  }
  for (std::size_t i = 0; i < columns.size(); ++i) {
    ColumnInfo& known = columns_[i];
    if (const std::string what = difference(known, columns[i]); !what.empty()) {
      fail<DataError>("{}: its column {} {}, unlike \"{}\" of {}: streams are mixed sample by sample, all need the same columns", part.name, i + 1, what,
                      known.name, parts_.front().name);
    }
    known.nullable = known.nullable || columns[i].nullable;
    known.cardinality = known.cardinality && columns[i].cardinality ? std::optional(std::max(*known.cardinality, *columns[i].cardinality)) : std::nullopt;
  }
}

std::size_t CombinedSource::part_of(std::int64_t chunk) const {
  return static_cast<std::size_t>(std::upper_bound(first_chunk_.begin(), first_chunk_.end(), chunk) - first_chunk_.begin() - 1);
}

std::int64_t CombinedSource::chunk_rows(std::int64_t chunk) const {
  const std::size_t part = part_of(chunk);
  return parts_[part].source->chunk_rows(chunk - first_chunk_[part]);
}

std::unique_ptr<ChunkData> CombinedSource::read(std::int64_t chunk, std::span<const std::uint32_t> wanted, const std::function<void(BadRow&&)>& bad_row) {
  const std::size_t part = part_of(chunk);
  return parts_[part].source->read(chunk - first_chunk_[part], wanted, [&](BadRow&& row) {
    row.chunk = chunk;
    bad_row(std::move(row));
  });
}

void CombinedSource::read_ahead(std::span<const std::int64_t> chunks) {
  std::vector<std::vector<std::int64_t>> of_part(parts_.size());
  for (const std::int64_t chunk : chunks) {
    const std::size_t part = part_of(chunk);
    of_part[part].push_back(chunk - first_chunk_[part]);
  }
  for (std::size_t part = 0; part < parts_.size(); ++part) parts_[part].source->read_ahead(of_part[part]);
}

bool CombinedSource::remote() const {
  return std::any_of(parts_.begin(), parts_.end(), [](const Part& part) { return part.source->remote(); });
}

void CombinedSource::show_rows(std::int64_t chunk, std::span<const std::int64_t> rows, const std::function<void(BadRow&&)>& show) {
  const std::size_t part = part_of(chunk);
  parts_[part].source->show_rows(chunk - first_chunk_[part], rows, [&](BadRow&& row) {
    row.chunk = chunk;
    show(std::move(row));
  });
}

std::uint64_t CombinedSource::fingerprint() {
  std::uint64_t value = 0;
  for (const Part& part : parts_) value = derive_seed(value ^ part.source->fingerprint(), name_seed(part.name));
  return value;
}

std::optional<double> CombinedSource::best_auc() const { return parts_.size() == 1 ? parts_.front().source->best_auc() : std::nullopt; }

}  // namespace rechost
