#include "data/statistics.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "data/column_values.h"
#include "data/label_leak.h"
#include "data/ordered_chunks.h"
#include "data/sequential_read_ahead.h"
#include "data/value_index.h"

namespace rechost {
namespace {

bool is_float(ValueType type) { return type == ValueType::kFloat32 || type == ValueType::kFloat64; }

/// Distinct values with their counts. Fractions are kept as the bits of a double, with one zero.
struct ValueCounts {
  IntegerIndex numbers;
  StringIndex strings;
  std::vector<std::int64_t> counts;
  std::vector<LabelFolds> folds;  ///< of features, where there is a binary label; else none

  void clear() {
    numbers.clear();
    strings.clear();
    counts.clear();
    folds.clear();
  }

  void add(std::int32_t number, std::int64_t count) {
    if (static_cast<std::size_t>(number) >= counts.size()) counts.resize(static_cast<std::size_t>(number) + 1, 0);
    counts[static_cast<std::size_t>(number)] += count;
  }

  LabelFolds& folds_of(std::int32_t number) {
    if (static_cast<std::size_t>(number) >= folds.size()) folds.resize(static_cast<std::size_t>(number) + 1);
    return folds[static_cast<std::size_t>(number)];
  }
};

/// The labels of one chunk, and which fold its rows belong to.
struct ChunkLabels {
  enum : std::uint8_t { kNegative, kPositive, kNone };
  std::vector<std::uint8_t> label;  // [rows]
  std::vector<std::uint8_t> fold;   // [rows]
  LabelFolds total;
};

/// One column of one chunk.
struct ChunkColumn {
  std::int64_t missing = 0;
  std::int64_t elements = 0;
  std::int64_t longest_list = 0;
  std::int64_t not_finite = 0;
  double minimum = std::numeric_limits<double>::infinity();
  double maximum = -std::numeric_limits<double>::infinity();
  double sum = 0.0;
  ValueCounts values;
  LabelFolds missing_folds;
};

struct ChunkScratch {
  std::int64_t rows = 0;
  std::vector<BadRow> bad_rows;
  std::vector<ChunkColumn> columns;
  ChunkLabels labels;
};

/// visit(row, element)
template <typename Visit>
void for_each_element(const ColumnView& view, ChunkColumn& column, Visit&& visit) {
  for (std::int64_t row = 0; row < view.rows; ++row) {
    if (!view.valid(row)) {
      ++column.missing;
    } else if (!view.is_list()) {
      visit(row, row);
    } else {
      const std::int64_t begin = view.list_begin(row);
      const std::int64_t end = view.list_begin(row + 1);
      column.longest_list = std::max(column.longest_list, end - begin);
      for (std::int64_t element = begin; element < end; ++element) visit(row, element);
    }
  }
}

/// `labels`: null for columns that are no features.
void look_at(const ColumnView& view, const ChunkLabels* labels, ChunkColumn& column) {
  const auto count = [&](std::int64_t row, std::int32_t number) {
    column.values.add(number, 1);
    if (labels == nullptr) return;
    const auto at = static_cast<std::size_t>(row);
    if (labels->label[at] != ChunkLabels::kNone) column.values.folds_of(number).add(labels->fold[at], labels->label[at] == ChunkLabels::kPositive);
  };
  if (labels != nullptr && view.validity != nullptr) {
    for (std::int64_t row = 0; row < view.rows; ++row) {
      const auto at = static_cast<std::size_t>(row);
      if (!view.valid(row) && labels->label[at] != ChunkLabels::kNone) {
        column.missing_folds.add(labels->fold[at], labels->label[at] == ChunkLabels::kPositive);
      }
    }
  }
  if (view.type == ValueType::kString) {
    for_each_element(view, column, [&](std::int64_t row, std::int64_t element) {
      ++column.elements;
      count(row, column.values.strings.insert(view.string(element)));
    });
    return;
  }
  with_numbers(view, [&](auto read) {
    for_each_element(view, column, [&](std::int64_t row, std::int64_t element) {
      ++column.elements;
      const auto value = static_cast<double>(read(element));
      if (!std::isfinite(value)) {
        ++column.not_finite;
        return;
      }
      column.minimum = std::min(column.minimum, value);
      column.maximum = std::max(column.maximum, value);
      column.sum += value;
      const std::int64_t key = is_float(view.type) ? std::bit_cast<std::int64_t>(value == 0.0 ? 0.0 : value) : static_cast<std::int64_t>(read(element));
      count(row, column.values.numbers.insert(key));
    });
  });
}

/// Adds the chunk's values to those of the split until `limit` are known. False when some had to be left out.
bool merge(const ValueCounts& chunk, std::int64_t limit, ValueCounts& all) {
  bool complete = true;
  const auto add = [&](const auto& from, auto& to) {
    for (std::int32_t n = 0; n < static_cast<std::int32_t>(from.size()); ++n) {
      const std::int32_t number = to.size() < limit ? to.insert(from.value(n)) : to.find(from.value(n));
      if (number < 0) {
        complete = false;
      } else {
        all.add(number, chunk.counts[static_cast<std::size_t>(n)]);
        if (static_cast<std::size_t>(n) < chunk.folds.size()) all.folds_of(number) += chunk.folds[static_cast<std::size_t>(n)];
      }
    }
  };
  add(chunk.numbers, all.numbers);
  add(chunk.strings, all.strings);
  return complete;
}

std::string text_of(const ValueCounts& values, ValueType type, std::int32_t number) {
  if (type == ValueType::kString) return std::string(values.strings.value(number));
  const std::int64_t key = values.numbers.value(number);
  if (!is_float(type)) return std::to_string(key);
  const auto value = std::bit_cast<double>(key);
  return type == ValueType::kFloat32 ? fmt::format("{}", static_cast<float>(value)) : fmt::format("{}", value);
}

std::vector<std::pair<std::string, std::int64_t>> top_values(const ValueCounts& values, ValueType type, std::int64_t wanted) {
  std::vector<std::int32_t> order(values.counts.size());
  std::iota(order.begin(), order.end(), 0);
  const auto before = [&](std::int32_t left, std::int32_t right) {
    const std::int64_t left_count = values.counts[static_cast<std::size_t>(left)];
    const std::int64_t right_count = values.counts[static_cast<std::size_t>(right)];
    if (left_count != right_count) return left_count > right_count;
    if (type == ValueType::kString) return values.strings.value(left) < values.strings.value(right);
    if (is_float(type)) return std::bit_cast<double>(values.numbers.value(left)) < std::bit_cast<double>(values.numbers.value(right));
    return values.numbers.value(left) < values.numbers.value(right);
  };
  const auto count = static_cast<std::ptrdiff_t>(std::min<std::size_t>(order.size(), static_cast<std::size_t>(std::max<std::int64_t>(wanted, 0))));
  std::partial_sort(order.begin(), order.begin() + count, order.end(), before);
  std::vector<std::pair<std::string, std::int64_t>> top;
  for (std::ptrdiff_t i = 0; i < count; ++i) {
    const std::int32_t number = order[static_cast<std::size_t>(i)];
    top.emplace_back(text_of(values, type, number), values.counts[static_cast<std::size_t>(number)]);
  }
  return top;
}

std::vector<double> top_shares(const ValueCounts& values, std::int64_t elements) {
  std::vector<std::int64_t> counts = values.counts;
  std::sort(counts.begin(), counts.end(), std::greater<>());
  std::vector<double> shares;
  std::int64_t sum = 0;
  std::size_t at = 0;
  for (std::size_t top = 1; top <= counts.size(); top *= 10) {
    for (; at < top; ++at) sum += counts[at];
    shares.push_back(static_cast<double>(sum) / static_cast<double>(std::max<std::int64_t>(elements, 1)));
  }
  return shares;
}

std::optional<double> label_auc(const ColumnInfo& column, const ValueCounts& values, const LabelFolds& missing, const LabelFolds& total) {
  std::vector<LabelFolds> folds = values.folds;
  if (column.role == ColumnRole::kDense && column.type != ValueType::kString) {
    std::vector<std::int32_t> order(folds.size());
    std::iota(order.begin(), order.end(), 0);
    const auto number = [&](std::int32_t n) {
      const std::int64_t key = values.numbers.value(n);
      return is_float(column.type) ? std::bit_cast<double>(key) : static_cast<double>(key);
    };
    std::sort(order.begin(), order.end(), [&](std::int32_t left, std::int32_t right) { return number(left) < number(right); });
    std::vector<LabelFolds> ascending{missing};  // a missing value is below all others: whether it is there may tell the label too
    for (const std::int32_t n : order) ascending.push_back(folds[static_cast<std::size_t>(n)]);
    return auc_by_order(ascending);
  }
  if (column.role != ColumnRole::kSparse) return std::nullopt;
  folds.push_back(missing);
  return auc_by_value(folds, total);
}

std::optional<std::size_t> binary_label(std::span<const ColumnInfo> columns) {
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (columns[i].role == ColumnRole::kLabel && columns[i].label_kind == LabelKind::kBinary && !columns[i].is_list && columns[i].type != ValueType::kString) return i;
  }
  return std::nullopt;
}

/// `first_row`: of the chunk, in the split.
void read_labels(const ColumnView& view, std::int64_t first_row, ChunkLabels& labels) {
  labels.label.assign(static_cast<std::size_t>(view.rows), ChunkLabels::kNone);
  labels.fold.resize(static_cast<std::size_t>(view.rows));
  labels.total = {};
  with_numbers(view, [&](auto read) {
    for (std::int64_t row = 0; row < view.rows; ++row) {
      const auto at = static_cast<std::size_t>(row);
      labels.fold[at] = static_cast<std::uint8_t>(fold_of_row(first_row + row));
      if (!view.valid(row)) continue;
      const auto value = static_cast<double>(read(row));
      if (value != 0.0 && value != 1.0) continue;
      labels.label[at] = value == 1.0 ? ChunkLabels::kPositive : ChunkLabels::kNegative;
      labels.total.add(labels.fold[at], value == 1.0);
    }
  });
}

std::int64_t chunks_to_read(const ChunkSource& source, std::int64_t max_rows) {
  if (max_rows <= 0) return source.chunk_count();
  std::int64_t rows = 0;
  std::int64_t chunk = 0;
  while (chunk < source.chunk_count() && rows < max_rows) rows += source.chunk_rows(chunk++);
  return chunk;
}

}  // namespace

SplitStatistics compute_statistics(ChunkSource& source, const StatisticsOptions& options, ThreadPool& pool) {
  SplitStatistics result;
  result.chunks = source.chunk_count();
  for (std::int64_t chunk = 0; chunk < result.chunks; ++chunk) result.declared_rows += source.chunk_rows(chunk);
  const std::vector<ColumnInfo>& columns = source.columns();
  std::vector<std::uint32_t> wanted(columns.size());
  std::iota(wanted.begin(), wanted.end(), 0U);
  std::vector<ValueCounts> values(columns.size());
  std::vector<double> sums(columns.size(), 0.0);
  for (const ColumnInfo& column : columns) {
    ColumnStatistics statistics;
    statistics.column = column;
    statistics.minimum = std::numeric_limits<double>::infinity();
    statistics.maximum = -std::numeric_limits<double>::infinity();
    result.columns.push_back(std::move(statistics));
  }

  const std::optional<std::size_t> label = binary_label(columns);
  LabelFolds all_labels;
  std::vector<LabelFolds> missing_folds(columns.size());
  std::vector<std::int64_t> first_row(static_cast<std::size_t>(result.chunks), 0);
  for (std::size_t chunk = 1; chunk < first_row.size(); ++chunk) first_row[chunk] = first_row[chunk - 1] + source.chunk_rows(static_cast<std::int64_t>(chunk) - 1);

  OrderedChunks<ChunkScratch> chunks(pool, [] { return std::make_unique<ChunkScratch>(); });
  const std::int64_t chunks_read = chunks_to_read(source, options.max_rows);
  SequentialReadAhead read_ahead(source, chunks_read);
  const auto look = [&](std::int64_t chunk, ChunkScratch& scratch) {
    read_ahead.begin(chunk);
    scratch.bad_rows.clear();
    const std::unique_ptr<ChunkData> data =
        source.read(chunk, wanted, [&](BadRow&& row) { scratch.bad_rows.push_back(std::move(row)); });
    scratch.rows = data->rows();
    scratch.columns.resize(columns.size());
    if (label) read_labels(data->columns()[*label], first_row[static_cast<std::size_t>(chunk)], scratch.labels);
    for (std::size_t i = 0; i < columns.size(); ++i) {
      ValueCounts reused = std::move(scratch.columns[i].values);
      reused.clear();
      scratch.columns[i] = ChunkColumn{};
      scratch.columns[i].values = std::move(reused);
      const bool feature = columns[i].role == ColumnRole::kDense || columns[i].role == ColumnRole::kSparse;
      look_at(data->columns()[i], label && feature ? &scratch.labels : nullptr, scratch.columns[i]);
    }
  };
  const auto add = [&](std::int64_t, ChunkScratch& scratch) {
    result.rows += scratch.rows;
    result.bad_rows += static_cast<std::int64_t>(scratch.bad_rows.size());
    if (label) all_labels += scratch.labels.total;
    for (BadRow& row : scratch.bad_rows) {
      if (static_cast<std::int64_t>(result.first_bad_rows.size()) < options.first_bad_rows) result.first_bad_rows.push_back(std::move(row));
    }
    for (std::size_t i = 0; i < columns.size(); ++i) {
      ColumnStatistics& to = result.columns[i];
      const ChunkColumn& from = scratch.columns[i];
      to.rows += scratch.rows;
      to.missing += from.missing;
      to.elements += from.elements;
      to.not_finite += from.not_finite;
      to.longest_list = std::max(to.longest_list, from.longest_list);
      to.minimum = std::min(to.minimum, from.minimum);
      to.maximum = std::max(to.maximum, from.maximum);
      sums[i] += from.sum;
      if (!merge(from.values, options.distinct_limit, values[i])) to.distinct_is_exact = false;
      missing_folds[i] += from.missing_folds;
    }
  };
  chunks.run(chunks_read, look, add, [](std::int64_t, ChunkScratch&) {});

  pool.parallel_for(static_cast<std::int64_t>(columns.size()), [&](std::int64_t column) {
    const auto i = static_cast<std::size_t>(column);
    ColumnStatistics& to = result.columns[i];
    const std::int64_t numbers = to.elements - to.not_finite;
    to.distinct = values[i].numbers.size() + values[i].strings.size();
    to.top_values = top_values(values[i], to.column.type, options.top_values);
    to.top_shares = top_shares(values[i], numbers);
    if (label) to.label_auc = label_auc(to.column, values[i], missing_folds[i], all_labels);
    to.mean = numbers > 0 ? sums[i] / static_cast<double>(numbers) : 0.0;
    if (!(to.minimum <= to.maximum)) to.minimum = to.maximum = 0.0;
  });
  return result;
}

}  // namespace rechost
