#include <algorithm>

#include "base/error.h"
#include "base/philox.h"
#include "device/instruction_set.h"
#include "embedding/engine.h"
#include "embedding/engine_impl.h"
#include "embedding/update_loops.h"

namespace rechost {
namespace {

using Impl = EmbeddingEngine::Impl;

/// Floats that a thread reads and writes at once, gradients and rows together.
constexpr std::int64_t kFloatsPerItem = 65536;

/// What a thread needs to update a range of rows. One for each thread, kept from step to step for its memory.
struct Room {
  ReusedArray<std::int32_t> rows;
  ReusedArray<std::int32_t> first_gradient;
  ReusedArray<const float*> gradients;
  ReusedArray<float> scales;
  ReusedArray<float> sum;
};

thread_local Room thread_room;

/// Where the gradients of one lookup lie.
struct GradientSource {
  const float* first = nullptr;           ///< of sample 0, or of the sequence's first id
  std::int64_t stride = 0;                ///< floats to the next one
  const std::int64_t* offsets = nullptr;  ///< set for mean pooling: a gradient counts 1 / bag length
  const float* weights = nullptr;         ///< of the column's ids, where they have some
  bool sequence = false;
};

/// Lists the gradients of all occurrences of some rows, in the order in which they are to be summed.
class GradientLister {
 public:
  GradientLister(const Impl& impl, const PreparedIds& prepared, std::span<const float* const> gradients, std::size_t table)
      : group_(impl.prepared_group(prepared, table)), by_column_(group_.columns.size()) {
    const std::vector<std::vector<std::size_t>>& lookups = impl.tables[table].by_column;
    for (std::size_t c = 0; c < lookups.size(); ++c) {
      for (const std::size_t index : lookups[c]) {
        const Impl::Lookup& lookup = impl.lookups[index];
        const Impl::Block& block = impl.blocks[lookup.block];
        if (gradients[lookup.block] == nullptr) continue;
        const PreparedColumn& column = group_.columns[c];
        const bool mean = lookup.pooling == Pooling::kMean && !column.one_each;
        const bool weighted = column.weighted && !block.sequence;
        by_column_[c].push_back({.first = gradients[lookup.block] + lookup.slot * block.dim,
                                 .stride = static_cast<std::int64_t>(block.lookups.size()) * block.dim,
                                 .offsets = mean ? column.offsets.data() : nullptr,
                                 .weights = weighted ? column.weights.data() : nullptr,
                                 .sequence = block.sequence});
        scaled_ = scaled_ || mean || weighted;
      }
      most_ = std::max(most_, static_cast<std::int64_t>(by_column_[c].size()));
    }
    find_plain();
  }

  /// Points `job` at the gradients of unique rows [begin, end), listed in `room`.
  void list(std::int64_t begin, std::int64_t end, Room& room, UpdateJob& job) const {
    const std::int32_t* const segments = group_.segment_offsets.data();
    room.first_gradient.resize_unspecified(end - begin + 1);
    const std::int64_t most = (segments[end] - segments[begin]) * most_;
    room.gradients.resize_unspecified(most);
    if (scaled_) room.scales.resize_unspecified(most);
    if (!plain_.empty()) {
      for (std::int64_t u = begin; u <= end; ++u) room.first_gradient[u - begin] = segments[u] - segments[begin];
      list_plain(group_.positions.data() + segments[begin], most, room.gradients.data());
    } else {
      std::int32_t listed = 0;
      for (std::int64_t u = begin; u < end; ++u) {
        room.first_gradient[u - begin] = listed;
        for (std::int32_t k = segments[u]; k < segments[u + 1]; ++k) listed = add(group_.positions[k], room, listed);
      }
      room.first_gradient[end - begin] = listed;
    }
    job.first_gradient = room.first_gradient.data();
    job.gradients = room.gradients.data();
    job.scales = scaled_ ? room.scales.data() : nullptr;
  }

 private:
  /// Whether each occurrence has one gradient, all of them found by the number of the sample or all by that of the id.
  void find_plain() {
    if (scaled_) return;
    const auto one_each = [](const PreparedColumn& column) { return column.one_each; };
    const bool by_sample = !std::all_of(group_.columns.begin(), group_.columns.end(), one_each);
    std::vector<PlainColumn> plain;
    for (std::size_t c = 0; c < by_column_.size(); ++c) {
      if (by_column_[c].size() != 1) return;
      const GradientSource& source = by_column_[c][0];
      const std::int64_t first = group_.columns[c].first;
      if (by_sample && source.sequence && by_column_.size() > 1) return;
      plain.push_back({.first = first, .number_before = by_sample && !source.sequence ? 0 : first, .gradients = source.first, .stride = source.stride});
    }
    by_sample_ = by_sample && !by_column_[0][0].sequence;
    plain_ = std::move(plain);
  }

  /// The usual case. No branch depends on an id: which of the columns one is in cannot be guessed.
  void list_plain(const std::int32_t* positions, std::int64_t count, const float** gradients) const {
    const PlainColumn* const columns = plain_.data();
    const std::size_t last = plain_.size() - 1;
    const std::int32_t* const samples = by_sample_ ? group_.samples.data() : nullptr;
    for (std::int64_t k = 0; k < count; ++k) {
      const std::int64_t position = positions[k];
      std::size_t c = 0;
      for (std::size_t other = 1; other <= last; ++other) c += position >= columns[other].first ? 1 : 0;
      const std::int64_t number = samples != nullptr ? samples[position] : position;
      gradients[k] = columns[c].gradients + (number - columns[c].number_before) * columns[c].stride;
    }
  }

  std::int32_t add(std::int64_t position, Room& room, std::int32_t listed) const {
    std::size_t c = 0;
    while (c + 1 < by_column_.size() && position >= group_.columns[c + 1].first) ++c;
    const PreparedColumn& column = group_.columns[c];
    const std::int64_t in_column = position - column.first;
    const std::int64_t sample = column.one_each ? in_column : group_.samples[position];
    for (const GradientSource& source : by_column_[c]) {
      room.gradients[listed] = source.first + (source.sequence ? in_column : sample) * source.stride;
      if (scaled_) {
        const std::int64_t length = source.offsets == nullptr ? 1 : source.offsets[sample + 1] - source.offsets[sample];
        const float weight = source.weights == nullptr ? 1.0f : source.weights[in_column];
        room.scales[listed] = weight / static_cast<float>(length);
      }
      ++listed;
    }
    return listed;
  }

  /// A column whose ids have one gradient each.
  struct PlainColumn {
    std::int64_t first = 0;          ///< position of its first id
    std::int64_t number_before = 0;  ///< what has this number has gradient 0
    const float* gradients = nullptr;
    std::int64_t stride = 0;
  };

  const PreparedGroup& group_;
  std::vector<std::vector<GradientSource>> by_column_;
  std::vector<PlainColumn> plain_;  ///< empty: not all are so
  bool by_sample_ = false;          ///< their number is that of the sample, else the id's position
  std::int64_t most_ = 0;  // gradients that one occurrence can have
  bool scaled_ = false;
};

UpdateJob job_for(const Impl& impl, const Impl::Table& table, std::int64_t step, Room& room) {
  const TableConfig& config = table.config;
  room.sum.resize_unspecified(config.dim);
  FileRows* const file = table.in_file();
  return {.table = file != nullptr ? file->cached() : table.storage->rows(),
          .stride = table.storage->stride(),
          .dim = config.dim,
          .sum = room.sum.data(),
          .rows_at_once = rows_of_lines(impl.update_lines.value(), table.storage->value_floats() + table.storage->state_floats()),
          .rounding_seed = derive_seed(derive_seed(impl.seed, name_seed(config.name)), static_cast<std::uint64_t>(step)),
          .order = config.order,
          .first_row = config.first_row,
          .first_word = static_cast<std::uint32_t>(config.first_column / 2)};
}

RuleConstants constants_for(const Impl::Table& table, const EmbeddingEngine::UpdateSettings& settings) {
  return rule_constants(table.config.optimizer, settings.step, settings.lr_factor, 1.0, settings.clip_value, settings.l2);
}

void run_update(const Impl::Table& table, const EmbeddingEngine::UpdateSettings& settings, const UpdateJob& job) {
  const TableConfig& config = table.config;
  const auto loop_for = choose_twin(update_baseline, update_avx2, update_avx512);
  const std::int64_t beyond = loop_for(config.precision, config.optimizer.kind, config.dim)(constants_for(table, settings), job);
  if (beyond < 0) return;
  fail<Error>("step {}: the update of table \"{}\" makes row {} NaN or larger than {}, the largest number of {}: set the table's precision to {}, "
              "lower its lr, or set regularization.clip_value",
              settings.step, config.name, config.number_of(beyond), largest_value(config.precision), row_precision_name(config.precision),
              config.precision == RowPrecision::kFp16 ? "bf16" : "fp32");
}

/// Cuts a table's unique rows so that each item costs about the same. A row is never cut: its sum has one order.
void add_work(const PreparedGroup& group, const Impl::Table& table, std::size_t index, std::vector<Impl::WorkItem>& work) {
  const std::int64_t unique = group.unique_rows.size();
  const std::int32_t* const segments = group.segment_offsets.data();
  const std::int64_t row_floats = table.storage ? table.storage->value_floats() + table.storage->state_floats() : table.config.dim;
  const auto cost_before = [&](std::int64_t u) { return segments[u] * table.config.dim + u * row_floats; };
  std::int64_t begin = 0;
  while (begin < unique) {
    const std::int64_t limit = cost_before(begin) + kFloatsPerItem;
    std::int64_t low = begin + 1;  // the smallest end to choose from
    std::int64_t high = unique;
    while (low < high) {
      const std::int64_t middle = low + (high - low) / 2;
      if (cost_before(middle) < limit) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    work.push_back({index, begin, low});
    begin = low;
  }
}

}  // namespace

namespace {

/// Calls use(item, lister) for ranges of unique rows that cover all tables with lookups, each row in one range.
template <typename Use>
void for_each_range(Impl& impl, std::vector<Impl::WorkItem>& work, const PreparedIds& prepared, std::span<const float* const> gradients,
                    ThreadPool& pool, const Use& use) {
  impl.check_prepared(prepared);
  if (gradients.size() != impl.blocks.size()) fail<Error>("update: {} gradients for {} blocks", gradients.size(), impl.blocks.size());
  work.clear();
  std::vector<GradientLister> listers;
  std::vector<std::size_t> lister_of(impl.tables.size());
  for (std::size_t t = 0; t < impl.tables.size(); ++t) {
    if (impl.tables[t].group == Impl::kNoGroup) continue;
    lister_of[t] = listers.size();
    listers.emplace_back(impl, prepared, gradients, t);
    add_work(impl.prepared_group(prepared, t), impl.tables[t], t, work);
  }
  pool.parallel_for(static_cast<std::int64_t>(work.size()), [&](std::int64_t i) {
    const Impl::WorkItem item = work[static_cast<std::size_t>(i)];
    use(item, listers[lister_of[item.table]]);
  });
}

}  // namespace

void EmbeddingEngine::update(const PreparedIds& prepared, std::span<const float* const> gradients, const UpdateSettings& settings,
                             ThreadPool& pool) {
  Impl& impl = *impl_;
  for (const Impl::Table& table : impl.tables) {
    if (table.config.precision == RowPrecision::kInt8) fail<Error>("table \"{}\" has rows in int8 and cannot be updated", table.config.name);
  }
  impl.check_prepared(prepared);
  impl.bring_in(prepared, pool);
  for (std::size_t t = 0; t < impl.tables.size(); ++t) {
    if (impl.tables[t].in_file() != nullptr && impl.tables[t].group != Impl::kNoGroup) impl.tables[t].in_file()->mark_changed(impl.residence.slots[t].view());
  }
  std::int64_t rows = 0;
  for (const PreparedGroup& group : prepared.groups()) rows += group.unique_rows.size();
  const TunedWork timed(impl.update_lines, rows);
  for_each_range(impl, impl.work, prepared, gradients, pool, [&](const Impl::WorkItem& item, const GradientLister& lister) {
    Impl::Table& table = impl.tables[item.table];
    Room& room = thread_room;
    UpdateJob job = job_for(impl, table, settings.step, room);
    job.numbers = impl.prepared_group(prepared, item.table).unique_rows.data() + item.begin;
    job.rows = table.in_file() != nullptr ? impl.residence.slots[item.table].data() + item.begin : job.numbers;
    job.row_count = item.end - item.begin;
    lister.list(item.begin, item.end, room, job);
    run_update(table, settings, job);
  });
}

void EmbeddingEngine::sum_gradients(const PreparedIds& prepared, std::span<const float* const> gradients, std::span<float* const> sums,
                                    ThreadPool& pool) const {
  Impl& impl = *impl_;
  if (sums.size() != impl.tables.size()) fail<Error>("sums of {} tables for {}", sums.size(), impl.tables.size());
  const auto loop_for = choose_twin(sum_baseline, sum_avx2, sum_avx512);
  std::vector<Impl::WorkItem> work;
  for_each_range(impl, work, prepared, gradients, pool, [&](const Impl::WorkItem& item, const GradientLister& lister) {
    const std::int64_t dim = impl.tables[item.table].config.dim;
    UpdateJob job{.table = sums[item.table] + item.begin * dim, .stride = dim, .dim = dim, .row_count = item.end - item.begin};
    lister.list(item.begin, item.end, thread_room, job);
    loop_for(dim)(job);
  });
}

void EmbeddingEngine::decay_untouched(const PreparedIds& prepared, const UpdateSettings& settings, ThreadPool& pool) {
  if (settings.l2 == 0.0) return;
  Impl& impl = *impl_;
  impl.check_prepared(prepared);
  impl.work.clear();
  for (std::size_t t = 0; t < impl.tables.size(); ++t) {
    if (impl.tables[t].in_file() != nullptr) fail<Error>("table \"{}\" lies in a file: its rows cannot all decay with every step", impl.tables[t].config.name);
    const std::int64_t rows = impl.tables[t].config.rows;
    const std::int64_t rows_per_item = std::max<std::int64_t>(1, kFloatsPerItem / impl.tables[t].storage->stride());
    for (std::int64_t begin = 0; begin < rows; begin += rows_per_item) {
      impl.work.push_back({t, begin, std::min(rows, begin + rows_per_item)});
    }
  }
  pool.parallel_for(static_cast<std::int64_t>(impl.work.size()), [&](std::int64_t i) {
    const Impl::WorkItem item = impl.work[static_cast<std::size_t>(i)];
    Impl::Table& table = impl.tables[item.table];
    const std::span<const std::int32_t> touched = unique_rows(prepared, item.table);
    Room& room = thread_room;
    UpdateJob job = job_for(impl, table, settings.step, room);
    room.rows.resize_unspecified(item.end - item.begin);
    auto next = std::lower_bound(touched.begin(), touched.end(), item.begin);
    for (std::int64_t row = item.begin; row < item.end; ++row) {
      if (next != touched.end() && *next == row) {
        ++next;
      } else {
        room.rows[job.row_count++] = static_cast<std::int32_t>(row);
      }
    }
    // No gradients at all: their sum is zero, and the rule adds l2 * w.
    room.first_gradient.resize_unspecified(job.row_count + 1);
    std::fill_n(room.first_gradient.data(), job.row_count + 1, 0);
    job.rows = room.rows.data();
    job.numbers = job.rows;
    job.first_gradient = room.first_gradient.data();
    run_update(table, settings, job);
  });
}

}  // namespace rechost
