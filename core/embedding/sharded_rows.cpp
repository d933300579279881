// Rows of sharded tables by their global numbers, outside of a step.
#include <algorithm>

#include "base/error.h"
#include "embedding/sharded_tables.h"

namespace rechost {
namespace {

/// What a rank wants to have of a table.
struct Wish {
  std::int64_t first = 0;
  std::int64_t count = 0;
  std::int64_t with_rows = 0;
  std::int64_t with_state = 0;
};

/// State is some numbers for each column, each kind of them for all columns together; or it is of the row as a whole, and then so are the columns.
void copy_columns(const float* from, std::int64_t from_stride, float* to, std::int64_t to_stride, std::int64_t columns, std::int64_t kinds) {
  for (std::int64_t kind = 0; kind < kinds; ++kind) std::copy_n(from + kind * from_stride, columns, to + kind * to_stride);
}

}  // namespace

void ShardedTables::require_held(std::size_t t, std::int64_t first, std::int64_t count) const {
  const RowRange held = held_rows(t);
  if (held_index_.at(t) == kNotHeld || first < held.first || count < 0 || first + count > held.end()) {
    fail<Error>("rows {} to {} of table \"{}\" are not on rank {}, which holds {} to {}", first, first + count, table(t).name, communicator_.rank(),
                held.first, held.end());
  }
}

void ShardedTables::read_rows(std::size_t table, std::int64_t first, std::int64_t count, float* rows, float* state) const {
  require_held(table, first, count);
  if (placement_.is_shown_together(table)) fail<Error>("rows of table \"{}\" lie on several ranks", this->table(table).name);
  held_->read_rows(held_index_[table], first - own_shard(table).places.first, count, rows, state);
}

std::vector<float> ShardedTables::read_held_values(std::size_t table, std::int64_t row) const {
  const TableShard& shard = own_shard(table);
  const std::int64_t place = placement_.order(table).place_of(row);
  if (shard.is_empty() || place < shard.places.first || place >= shard.places.end()) return {};
  std::vector<float> values(static_cast<std::size_t>(shard.columns.count));
  held_->read_rows(held_index_[table], place - shard.places.first, 1, values.data(), nullptr);
  return values;
}

std::vector<std::int64_t> ShardedTables::rows_of_holder(std::size_t table, std::size_t holder, RowRange range) const {
  std::vector<std::int64_t> rows;
  const TableShard& shard = placement_.shard(table, static_cast<int>(holder));
  if (shard.is_empty()) return rows;
  for (std::int64_t row = range.first; row < range.end(); ++row) {
    const std::int64_t place = placement_.order(table).place_of(row);
    if (place >= shard.places.first && place < shard.places.end()) rows.push_back(row);
  }
  return rows;
}

void ShardedTables::read_rows_together(std::size_t t, std::int64_t first, std::int64_t count, float* rows, float* state) const {
  const Wish wish{first, count, rows != nullptr ? 1 : 0, state != nullptr ? 1 : 0};
  std::vector<Wish> wishes(ranks_);
  communicator_.all_gather(std::as_bytes(std::span(&wish, 1)), std::vector<std::int64_t>(ranks_, sizeof(Wish)), std::as_writable_bytes(std::span(wishes)));
  const std::int64_t dim = table(t).dim;
  const std::int64_t kinds = state_floats_per_row(t) / dim;  // 0 where state is of the row as a whole, or there is none
  const auto state_floats = [&](std::size_t holder) { return kinds > 0 ? kinds * columns(t, holder) : state_floats_per_row(t); };
  const auto floats_of = [&](std::size_t holder, const Wish& of) { return of.with_rows * columns(t, holder) + of.with_state * state_floats(holder); };

  // From each holder the values of its rows, one after another, each with its state behind it.
  std::vector<std::int64_t> sent(ranks_, 0);
  std::vector<float> packed;
  for (std::size_t rank = 0; rank < ranks_; ++rank) {
    if (!sends_rows(t, own(), rank)) continue;
    const Wish& of = wishes[rank];
    const std::size_t before = packed.size();
    const std::vector<std::int64_t> held = rows_of_holder(t, own(), {of.first, of.count});
    packed.resize(before + held.size() * static_cast<std::size_t>(floats_of(own(), of)));
    float* to = packed.data() + before;
    for (const std::int64_t row : held) {
      const std::int64_t place = placement_.order(t).place_of(row) - own_shard(t).places.first;
      held_->read_rows(held_index_[t], place, 1, of.with_rows != 0 ? to : nullptr, of.with_state != 0 ? to + of.with_rows * columns(t, own()) : nullptr);
      to += floats_of(own(), of);
    }
    sent[rank] = static_cast<std::int64_t>((packed.size() - before) * sizeof(float));
  }

  std::vector<std::vector<std::int64_t>> parts(ranks_);
  std::vector<std::int64_t> received(ranks_, 0);
  std::int64_t floats = 0;
  for (std::size_t holder = 0; holder < ranks_; ++holder) {
    if (!sends_rows(t, holder, own())) continue;
    parts[holder] = rows_of_holder(t, holder, {first, count});
    const std::int64_t part_floats = static_cast<std::int64_t>(parts[holder].size()) * floats_of(holder, wish);
    received[holder] = part_floats * static_cast<std::int64_t>(sizeof(float));
    floats += part_floats;
  }
  std::vector<float> arrived(static_cast<std::size_t>(floats));
  communicator_.all_to_all(std::as_bytes(std::span(packed)), sent, std::as_writable_bytes(std::span(arrived)), received);

  const float* from = arrived.data();
  for (std::size_t holder = 0; holder < ranks_; ++holder) {
    const ColumnRange range = placement_.shard(t, static_cast<int>(holder)).columns;
    for (const std::int64_t row : parts[holder]) {
      if (rows != nullptr) std::copy_n(from, range.count, rows + (row - first) * dim + range.first);
      const float* const from_state = from + wish.with_rows * range.count;
      if (state != nullptr && kinds > 0) copy_columns(from_state, range.count, state + (row - first) * kinds * dim + range.first, dim, range.count, kinds);
      if (state != nullptr && kinds == 0) std::copy_n(from_state, state_floats(holder), state + (row - first) * state_floats(holder));
      from += floats_of(holder, wish);
    }
  }
}

void ShardedTables::start_rows(std::size_t t, std::span<const std::int32_t> rows, std::span<const std::int64_t> numbers) {
  if (rows.size() != numbers.size()) fail<Error>("{} rows of table \"{}\" and {} numbers", rows.size(), table(t).name, numbers.size());
  const TableShard& shard = own_shard(t);
  if (shard.is_empty()) return;
  std::vector<std::int32_t> held_places;
  std::vector<std::int64_t> held_numbers;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::int64_t place = placement_.order(t).place_of(rows[i]);
    if (place < shard.places.first || place >= shard.places.end()) continue;
    held_places.push_back(static_cast<std::int32_t>(place - shard.places.first));
    held_numbers.push_back(numbers[i]);
  }
  held_->start_rows(held_index_[t], held_places, held_numbers);
}

void ShardedTables::write_rows(std::size_t t, std::int64_t first, std::int64_t count, const float* rows, const float* state) {
  require_held(t, first, count);
  const TableShard& shard = own_shard(t);
  if (!placement_.is_shown_together(t)) {
    held_->write_rows(held_index_[t], first - shard.places.first, count, rows, state);
    return;
  }
  const std::int64_t dim = table(t).dim;
  const std::int64_t states = state_floats_per_row(t);
  const std::int64_t kinds = states / dim;
  std::vector<float> own_state(static_cast<std::size_t>(kinds * shard.columns.count));
  for (const std::int64_t row : rows_of_holder(t, own(), {first, count})) {
    const float* const values = rows == nullptr ? nullptr : rows + (row - first) * dim + shard.columns.first;
    const float* given = state == nullptr ? nullptr : state + (row - first) * states;
    if (given != nullptr && kinds > 0) {
      copy_columns(given + shard.columns.first, dim, own_state.data(), shard.columns.count, shard.columns.count, kinds);
      given = own_state.data();
    }
    held_->write_rows(held_index_[t], placement_.order(t).place_of(row) - shard.places.first, 1, values, given);
  }
}

}  // namespace rechost
