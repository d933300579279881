#include <algorithm>
#include <limits>

#include "base/error.h"
#include "embedding/deduplicate.h"
#include "embedding/engine.h"
#include "embedding/engine_impl.h"

namespace rechost {
namespace {

void check_offsets(const IdColumnView& view) {
  const auto rows = static_cast<std::size_t>(view.rows);
  const auto ids = static_cast<std::int64_t>(view.ids.size());
  if (!view.weights.empty() && view.weights.size() != view.ids.size()) {
    fail<DataError>("feature \"{}\": {} weights for {} ids", view.name, view.weights.size(), ids);
  }
  if (view.offsets.empty()) {
    if (view.ids.size() != rows) {
      fail<DataError>("feature \"{}\": {} ids for {} samples without offsets", view.name, ids, view.rows);
    }
    return;
  }
  if (view.offsets.size() != rows + 1 || view.offsets.front() != 0 || view.offsets.back() != ids) {
    fail<DataError>("feature \"{}\": offsets of {} samples must be {} numbers from 0 to the {} ids", view.name, view.rows, view.rows + 1,
                    ids);
  }
  const auto descent = std::is_sorted_until(view.offsets.begin(), view.offsets.end());
  if (descent != view.offsets.end()) {
    fail<DataError>("feature \"{}\": offsets go down after sample {}", view.name, descent - view.offsets.begin() - 1);
  }
}

/// The slow look at a column that the quick one found wrong.
[[noreturn]] void report_out_of_range(const IdColumnView& view, const TableConfig& table) {
  for (std::size_t i = 0; i < view.ids.size(); ++i) {
    if (view.ids[i] >= 0 && view.ids[i] < table.rows) continue;
    std::int64_t sample = static_cast<std::int64_t>(i);
    if (!view.offsets.empty()) {
      sample = std::upper_bound(view.offsets.begin(), view.offsets.end(), sample) - view.offsets.begin() - 1;
    }
    fail<DataError>("feature \"{}\": id {} at sample {} is outside table \"{}\" with {} rows; give the table more rows or encode the ids",
                    view.name, view.ids[i], sample, table.name, table.rows);
  }
  fail<Error>("feature \"{}\": ids changed while they were checked", view.name);
}

/// Copies ids and returns the largest as unsigned, so that a negative one is larger than any row.
std::uint32_t copy_ids(std::span<const std::int32_t> ids, std::int32_t* to) {
  std::uint32_t largest = 0;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto id = static_cast<std::uint32_t>(ids[i]);
    largest = id > largest ? id : largest;
    to[i] = ids[i];
  }
  return largest;
}

void fill_columns(const std::vector<std::size_t>& id_columns, std::span<const IdColumnView> views, const TableConfig& smallest_table,
                  PreparedGroup& group) {
  std::int64_t positions = 0;
  bool one_each = true;
  group.columns.resize(id_columns.size());
  for (std::size_t i = 0; i < id_columns.size(); ++i) {
    const IdColumnView& view = views[id_columns[i]];
    check_offsets(view);
    PreparedColumn& column = group.columns[i];
    column.first = positions;
    column.count = static_cast<std::int64_t>(view.ids.size());
    column.rows = view.rows;
    column.one_each = view.offsets.empty();
    column.weighted = !view.weights.empty();
    if (column.weighted) {
      column.weights.resize_unspecified(column.count);
      std::copy(view.weights.begin(), view.weights.end(), column.weights.data());
    }
    one_each = one_each && column.one_each;
    positions += column.count;
  }
  if (positions >= std::numeric_limits<std::int32_t>::max()) {
    fail<DataError>("{} ids of one batch in table \"{}\" are more than 2^31 - 2; use a smaller batch", positions, smallest_table.name);
  }
  group.ids.resize_unspecified(positions);
  if (!one_each) group.samples.resize_unspecified(positions);
  for (std::size_t i = 0; i < id_columns.size(); ++i) {
    const IdColumnView& view = views[id_columns[i]];
    PreparedColumn& column = group.columns[i];
    const std::uint32_t largest = copy_ids(view.ids, group.ids.data() + column.first);
    if (column.count > 0 && largest >= smallest_table.rows) report_out_of_range(view, smallest_table);
    if (!column.one_each) {
      column.offsets.resize_unspecified(column.rows + 1);
      std::copy(view.offsets.begin(), view.offsets.end(), column.offsets.data());
    }
    if (one_each) continue;
    std::int32_t* const samples = group.samples.data() + column.first;
    for (std::int64_t sample = 0; sample < column.rows; ++sample) {
      const std::int64_t begin = column.one_each ? sample : column.offsets[sample];
      const std::int64_t end = column.one_each ? sample + 1 : column.offsets[sample + 1];
      std::fill(samples + begin, samples + end, static_cast<std::int32_t>(sample));
    }
  }
}

}  // namespace

void EmbeddingEngine::prepare(std::span<const IdColumnView> id_columns, PreparedIds& prepared, ThreadPool& pool) const {
  const Impl& impl = *impl_;
  if (id_columns.size() < impl.id_column_count) {
    fail<Error>("{} id columns were handed over, the lookups read {}", id_columns.size(), impl.id_column_count);
  }
  for (std::size_t index = 0; index < impl.blocks.size(); ++index) {
    const Impl::Block& block = impl.blocks[index];
    const auto view_of = [&](std::size_t lookup_index) -> const IdColumnView& {
      const Impl::Lookup& lookup = impl.lookups[lookup_index];
      return id_columns[impl.groups[impl.tables[lookup.table].group].id_columns[lookup.column_in_group]];
    };
    const IdColumnView& first = view_of(block.lookups.front());
    for (const std::size_t lookup : block.lookups) {
      if (view_of(lookup).rows != first.rows) {
        fail<DataError>("feature \"{}\" has {} samples, feature \"{}\" {}; both go into block {}", first.name, first.rows,
                        view_of(lookup).name, view_of(lookup).rows, index);
      }
    }
  }
  prepared.groups_.resize(impl.groups.size());
  pool.parallel_for(static_cast<std::int64_t>(impl.groups.size()), [&](std::int64_t i) {
    const Impl::Group& group = impl.groups[static_cast<std::size_t>(i)];
    PreparedGroup& result = prepared.groups_[static_cast<std::size_t>(i)];
    const TableConfig& smallest_table = impl.tables[group.smallest_table].config;
    fill_columns(group.id_columns, id_columns, smallest_table, result);
    deduplicate(result, smallest_table.rows);
  });
  prepared.serial_ = ++impl.last_serial;
  for (const Impl::Table& table : impl.tables) {
    if (table.in_file() != nullptr && table.group != Impl::kNoGroup) table.in_file()->expect(prepared.groups_[table.group].unique_rows.view());
  }
}

}  // namespace rechost
