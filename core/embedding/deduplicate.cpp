#include "embedding/deduplicate.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace rechost {
namespace {

/// Room for `count` ids.
void reserve(PreparedGroup& group, std::int64_t count) {
  group.unique_rows.resize_unspecified(count);
  group.segment_offsets.resize_unspecified(count + 1);
  group.positions.resize_unspecified(count);
  group.inverse.resize_unspecified(count);
}

void finish(PreparedGroup& group, std::int64_t unique) {
  group.unique_rows.resize_unspecified(unique);
  group.segment_offsets.resize_unspecified(unique + 1);
}

/// One counter for each row of the table.
void deduplicate_by_counting(PreparedGroup& group, std::int64_t rows) {
  const std::int64_t count = group.ids.size();
  const std::int32_t* const ids = group.ids.data();
  group.counts.resize_unspecified(rows);
  std::int32_t* const of_row = group.counts.data();
  std::fill_n(of_row, rows, 0);
  for (std::int64_t i = 0; i < count; ++i) ++of_row[ids[i]];

  // of_row becomes the row's index among the unique ones. offsets[u + 1] is where the next position of u goes, and so in the end where u
  // ends.
  std::int32_t* const offsets = group.segment_offsets.data();
  std::int32_t* const unique_rows = group.unique_rows.data();
  std::int32_t unique = 0;
  std::int32_t before = 0;
  offsets[0] = 0;
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::int32_t occurrences = of_row[row];
    if (occurrences == 0) continue;
    unique_rows[unique] = static_cast<std::int32_t>(row);
    of_row[row] = unique++;
    offsets[unique] = before;
    before += occurrences;
  }
  std::int32_t* const positions = group.positions.data();
  std::int32_t* const inverse = group.inverse.data();
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int32_t index = of_row[ids[i]];
    inverse[i] = index;
    positions[offsets[index + 1]++] = static_cast<std::int32_t>(i);
  }
  finish(group, unique);
}

constexpr int kRowShift = 32;

std::uint64_t make_key(std::int32_t row, std::int64_t position) {
  return (static_cast<std::uint64_t>(static_cast<std::uint32_t>(row)) << kRowShift) | static_cast<std::uint64_t>(position);
}

/// Least significant digit first: stable, so positions of one row stay in order.
void deduplicate_by_radix_sort(PreparedGroup& group, int passes, int digit_bits) {
  const std::int64_t count = group.ids.size();
  const std::int32_t* const ids = group.ids.data();
  const std::int64_t bins = std::int64_t{1} << digit_bits;
  const auto mask = static_cast<std::uint32_t>(bins - 1);
  group.keys.resize_unspecified(count);
  group.other_keys.resize_unspecified(count);
  group.counts.resize_unspecified(passes * bins);
  std::int32_t* const counts = group.counts.data();
  std::fill_n(counts, passes * bins, 0);
  for (std::int64_t i = 0; i < count; ++i) {
    auto row = static_cast<std::uint32_t>(ids[i]);
    for (int pass = 0; pass < passes; ++pass, row >>= digit_bits) ++counts[pass * bins + (row & mask)];
  }
  for (int pass = 0; pass < passes; ++pass) {
    std::int32_t before = 0;
    for (std::int64_t bin = 0; bin < bins; ++bin) before += std::exchange(counts[pass * bins + bin], before);
  }

  std::uint64_t* from = group.other_keys.data();
  std::uint64_t* to = group.keys.data();
  for (std::int64_t i = 0; i < count; ++i) {
    to[counts[static_cast<std::uint32_t>(ids[i]) & mask]++] = make_key(ids[i], i);
  }
  for (int pass = 1; pass < passes; ++pass) {
    std::swap(from, to);
    std::int32_t* const next = counts + pass * bins;
    const int shift = kRowShift + pass * digit_bits;
    for (std::int64_t i = 0; i < count; ++i) to[next[(from[i] >> shift) & mask]++] = from[i];
  }

  std::int32_t* const positions = group.positions.data();
  std::int32_t* const inverse = group.inverse.data();
  std::int32_t* const offsets = group.segment_offsets.data();
  std::int32_t* const unique_rows = group.unique_rows.data();
  std::int32_t unique = 0;
  std::int32_t row_before = -1;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto row = static_cast<std::int32_t>(to[i] >> kRowShift);
    const auto position = static_cast<std::int32_t>(to[i]);
    // Written each time, kept when the row is another: no branch to guess wrong.
    unique_rows[unique] = row;
    offsets[unique] = static_cast<std::int32_t>(i);
    unique += row != row_before ? 1 : 0;
    row_before = row;
    positions[i] = position;
    inverse[position] = unique - 1;
  }
  offsets[unique] = static_cast<std::int32_t>(count);
  finish(group, unique);
}

}  // namespace

void deduplicate(PreparedGroup& group, std::int64_t rows) {
  const std::int64_t count = group.ids.size();
  reserve(group, count);
  if (count == 0) {
    group.segment_offsets[0] = 0;
    finish(group, 0);
    return;
  }
  // In units of one visit to a counter or a key: counting visits each row of the table twice, a pass each key and each bin.
  const int bits = std::max(1, static_cast<int>(std::bit_width(static_cast<std::uint64_t>(rows - 1))));
  int best_passes = 1;
  std::int64_t best_cost = 2 * count + 2 * rows;
  for (int passes = 2; passes <= 4; ++passes) {
    const std::int64_t bins = std::int64_t{1} << ((bits + passes - 1) / passes);
    const std::int64_t cost = (2 * passes + 2) * count + 2 * passes * bins;
    if (cost < best_cost) {
      best_cost = cost;
      best_passes = passes;
    }
  }
  if (best_passes == 1) {
    deduplicate_by_counting(group, rows);
  } else {
    deduplicate_by_radix_sort(group, best_passes, (bits + best_passes - 1) / best_passes);
  }
}

}  // namespace rechost
