#include "embedding/shown_rows.h"

#include <algorithm>

#include "base/error.h"

namespace rechost {
namespace {

constexpr std::int64_t kRowsPerRound = 8192;

}  // namespace

ShownRows::ShownRows(const EmbeddingTables& tables, std::size_t table, What what)
    : tables_(tables),
      table_(table),
      what_(what),
      together_(tables.placement().is_shown_together(table)),
      row_floats_(what == What::kValues ? tables.table(table).dim : tables.state_floats_per_row(table)),
      shown_(tables.shown_rows(table)),
      first_(shown_.first),
      end_(shown_.first) {
  if (together_ && row_floats_ > 0) rounds_left_ = (tables.placement().most_shown_rows(table) + kRowsPerRound - 1) / kRowsPerRound;
}

void ShownRows::next_round() {
  --rounds_left_;
  first_ = end_;
  end_ = std::min(first_ + kRowsPerRound, shown_.end());
  kept_.resize(static_cast<std::size_t>((end_ - first_) * row_floats_) + 1);  // one more: a pointer even where no row is left
  tables_.read_rows_together(table_, first_, end_ - first_, what_ == What::kValues ? kept_.data() : nullptr, what_ == What::kState ? kept_.data() : nullptr);
}

void ShownRows::read(std::int64_t first, std::int64_t count, float* out) {
  if (!together_) {
    tables_.read_rows(table_, first, count, what_ == What::kValues ? out : nullptr, what_ == What::kState ? out : nullptr);
    return;
  }
  while (count > 0) {
    if (first >= end_ && rounds_left_ > 0) next_round();
    if (first < first_ || first >= end_) fail<Error>("row {} of table \"{}\" is read out of turn", first, tables_.table(table_).name);
    const std::int64_t now = std::min(count, end_ - first);
    std::copy_n(kept_.data() + (first - first_) * row_floats_, now * row_floats_, out);
    out += now * row_floats_;
    first += now;
    count -= now;
  }
}

void ShownRows::finish() {
  while (rounds_left_ > 0) next_round();
}

}  // namespace rechost
