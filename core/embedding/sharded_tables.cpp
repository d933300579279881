#include "embedding/sharded_tables.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "base/error.h"

namespace rechost {
namespace {

constexpr std::size_t kNotHeld = static_cast<std::size_t>(-1);

std::vector<std::int64_t> in_bytes(const std::vector<std::int64_t>& counts, std::int64_t size, std::int64_t more = 0) {
  std::vector<std::int64_t> bytes;
  for (const std::int64_t count : counts) bytes.push_back(count * size + more);
  return bytes;
}

std::int64_t sum_of(const std::vector<std::int64_t>& counts) { return std::accumulate(counts.begin(), counts.end(), std::int64_t{0}); }

template <typename Element>
std::span<const std::byte> bytes_of(const ReusedArray<Element>& array) {
  return std::as_bytes(array.view());
}

template <typename Element>
std::span<std::byte> writable_bytes_of(ReusedArray<Element>& array) {
  return std::as_writable_bytes(std::span(array.data(), static_cast<std::size_t>(array.size())));
}

}  // namespace

std::vector<TableConfig> ShardedTables::held_tables(const std::vector<TableConfig>& tables) {
  std::vector<TableConfig> held;
  for (std::size_t t = 0; t < tables.size(); ++t) {
    const RowRange range = own_range(t);
    if (range.count == 0) continue;
    held_index_[t] = held.size();
    held.push_back(tables[t]);
    held.back().rows = range.count;
    held.back().first_row = range.first;
  }
  return held;
}

ShardedTables::ShardedTables(const std::vector<TableConfig>& tables, std::vector<LookupConfig> lookups, std::vector<BlockConfig> blocks,
                             std::uint64_t seed, ThreadPool& pool, const Settings& settings)
    : communicator_(*settings.communicator),
      ranks_(static_cast<std::size_t>(communicator_.world_size())),
      slices_(settings.slices),
      note_size_(settings.note_size),
      placement_(table_sizes(tables), communicator_.world_size()),
      lookups_(tables, std::move(lookups), std::move(blocks), seed, pool, EmbeddingEngine::Storage::kElsewhere),
      held_index_(tables.size(), kNotHeld),
      notes_(ranks_),
      segments_(ranks_ * slices_ * tables.size()),
      requests_(segments_.size()),
      segment_floats_(ranks_),
      request_floats_(ranks_),
      joined_(slices_ * tables.size()) {
  std::vector<TableConfig> held = held_tables(tables);
  held_ids_.resize(held.size());
  held_gradients_.resize(held.size());
  if (held.empty()) return;
  // To the holder each table is one list of rows: those that the slices ask for, one after another.
  std::vector<LookupConfig> lists;
  std::vector<BlockConfig> list_blocks;
  for (std::size_t i = 0; i < held.size(); ++i) {
    lists.push_back({.table = i, .id_column = i, .pooling = Pooling::kNone});
    list_blocks.push_back({.lookups = {i}});
  }
  held_ = std::make_unique<EmbeddingEngine>(std::move(held), std::move(lists), std::move(list_blocks), seed, pool);
}

void ShardedTables::find_segments(std::span<const PreparedIds* const> slices) {
  for (std::size_t holder = 0; holder < ranks_; ++holder) {
    std::int64_t floats = 0;
    for (std::size_t s = 0; s < slices_; ++s) {
      for (std::size_t t = 0; t < table_count(); ++t) {
        Segment& segment = segments_[at(holder, s, t)];
        segment = {};
        if (s >= slices.size()) continue;
        const std::span<const std::int32_t> rows = lookups_.unique_rows(*slices[s], t);
        const RowRange range = placement_.range(t, static_cast<int>(holder));
        const auto begin = std::lower_bound(rows.begin(), rows.end(), range.first);
        const auto end = std::lower_bound(begin, rows.end(), range.end());
        segment.first = begin - rows.begin();
        segment.count = end - begin;
        segment.floats = floats;
        floats += segment.count * table(t).dim;
      }
    }
    segment_floats_[holder] = floats;
  }
  // Places counted from the start of each holder's part become places in the whole.
  std::int64_t before = 0;
  for (std::size_t holder = 0; holder < ranks_; ++holder) {
    for (std::size_t i = at(holder, 0, 0); i < at(holder + 1, 0, 0); ++i) segments_[i].floats += before;
    before += segment_floats_[holder];
  }
}

void ShardedTables::exchange_counts(std::span<const double> note) {
  if (note.size() > note_size_) fail<Error>("a note of {} numbers where at most {} fit", note.size(), note_size_);
  const std::size_t counts = slices_ * table_count();
  const std::size_t note_bytes = note_size_ * sizeof(double);
  const std::size_t message = note_bytes + counts * sizeof(std::int32_t);
  std::vector<std::byte> sent(ranks_ * message);
  std::vector<std::byte> received(sent.size());
  std::vector<std::int32_t> numbers(counts);
  for (std::size_t rank = 0; rank < ranks_; ++rank) {
    for (std::size_t i = 0; i < counts; ++i) numbers[i] = static_cast<std::int32_t>(segments_[at(rank, 0, 0) + i].count);
    std::byte* const to = sent.data() + rank * message;
    std::memcpy(to, note.data(), note.size_bytes());
    std::memcpy(to + note_bytes, numbers.data(), counts * sizeof(std::int32_t));
  }
  const std::vector<std::int64_t> each(ranks_, static_cast<std::int64_t>(message));
  communicator_.all_to_all(sent, each, received, each);
  std::int64_t ids = 0;
  std::int64_t floats = 0;
  for (std::size_t rank = 0; rank < ranks_; ++rank) {
    const std::byte* const from = received.data() + rank * message;
    notes_[rank].resize(note.size());
    std::memcpy(notes_[rank].data(), from, note.size_bytes());
    std::memcpy(numbers.data(), from + note_bytes, counts * sizeof(std::int32_t));
    const std::int64_t floats_before = floats;
    for (std::size_t i = 0; i < counts; ++i) {
      Request& request = requests_[at(rank, 0, 0) + i];
      const std::size_t t = i % table_count();
      if (numbers[i] < 0 || (numbers[i] > 0 && held_index_[t] == kNotHeld)) {
        fail<CommError>("rank {} asks for {} rows of table \"{}\", of which rank {} holds none", rank, numbers[i], table(t).name,
                        communicator_.rank());
      }
      request = {.count = numbers[i], .ids = ids, .floats = floats};
      ids += request.count;
      floats += request.count * table(t).dim;
    }
    request_floats_[rank] = floats - floats_before;
  }
}

void ShardedTables::exchange_ids(std::span<const PreparedIds* const> slices) {
  std::vector<std::int64_t> sent(ranks_, 0);
  std::vector<std::int64_t> received(ranks_, 0);
  for (std::size_t rank = 0; rank < ranks_; ++rank) {
    for (std::size_t i = at(rank, 0, 0); i < at(rank + 1, 0, 0); ++i) {
      sent[rank] += segments_[i].count;
      received[rank] += requests_[i].count;
    }
  }
  sent_ids_.resize_unspecified(sum_of(sent));
  requested_ids_.resize_unspecified(sum_of(received));
  std::int32_t* to = sent_ids_.data();
  for (std::size_t holder = 0; holder < ranks_; ++holder) {
    for (std::size_t s = 0; s < slices.size(); ++s) {
      for (std::size_t t = 0; t < table_count(); ++t) {
        const Segment& segment = segments_[at(holder, s, t)];
        const std::int32_t* const rows = lookups_.unique_rows(*slices[s], t).data() + segment.first;
        // The holder numbers its rows from 0.
        const auto first = static_cast<std::int32_t>(placement_.range(t, static_cast<int>(holder)).first);
        for (std::int64_t i = 0; i < segment.count; ++i) *to++ = rows[i] - first;
      }
    }
  }
  communicator_.all_to_all(bytes_of(sent_ids_), in_bytes(sent, sizeof(std::int32_t)), writable_bytes_of(requested_ids_),
                           in_bytes(received, sizeof(std::int32_t)));
}

void ShardedTables::exchange_rows() {
  sent_rows_.resize_unspecified(sum_of(request_floats_));
  received_rows_.resize_unspecified(sum_of(segment_floats_));
  for (std::size_t i = 0; i < requests_.size(); ++i) {
    const Request& request = requests_[i];
    if (request.count == 0) continue;
    const auto ids = requested_ids_.view().subspan(static_cast<std::size_t>(request.ids), static_cast<std::size_t>(request.count));
    held_->gather_rows(held_index_[i % table_count()], ids, sent_rows_.data() + request.floats);
  }
  communicator_.all_to_all(bytes_of(sent_rows_), in_bytes(request_floats_, sizeof(float)), writable_bytes_of(received_rows_),
                           in_bytes(segment_floats_, sizeof(float)));
}

void ShardedTables::join_split_rows() {
  for (std::size_t s = 0; s < prepared_.size(); ++s) {
    for (std::size_t t = 0; t < table_count(); ++t) {
      if (!placement_.is_split(t)) continue;
      ReusedArray<float>& joined = joined_[s * table_count() + t];
      joined.resize_unspecified(static_cast<std::int64_t>(lookups_.unique_rows(*prepared_[s], t).size()) * table(t).dim);
      for (std::size_t holder = 0; holder < ranks_; ++holder) {
        const Segment& segment = segments_[at(holder, s, t)];
        std::copy_n(received_rows_.data() + segment.floats, segment.count * table(t).dim, joined.data() + segment.first * table(t).dim);
      }
    }
  }
}

void ShardedTables::fetch(std::span<const PreparedIds* const> slices, std::span<const double> note) {
  if (slices.size() > slices_) fail<Error>("{} slices for tables made for {}", slices.size(), slices_);
  prepared_.assign(slices.begin(), slices.end());
  find_segments(slices);
  exchange_counts(note);
  exchange_ids(slices);
  exchange_rows();
  join_split_rows();
}

void ShardedTables::forward(std::size_t slice, std::span<float* const> outputs, ThreadPool& pool) {
  std::vector<const float*> rows(table_count());
  for (std::size_t t = 0; t < table_count(); ++t) {
    if (placement_.is_split(t)) {
      rows[t] = joined_[slice * table_count() + t].data();
      continue;
    }
    for (std::size_t holder = 0; holder < ranks_; ++holder) {
      const Segment& segment = segments_[at(holder, slice, t)];
      if (segment.count > 0) rows[t] = received_rows_.data() + segment.floats;
    }
  }
  lookups_.forward_from(*prepared_[slice], rows, outputs, pool);
}

void ShardedTables::add_gradients(std::size_t slice, std::span<const float* const> gradients, ThreadPool& pool) {
  const auto note_bytes = static_cast<std::int64_t>(note_size_ * sizeof(double));
  sent_gradients_.resize_unspecified(sum_of(segment_floats_) * static_cast<std::int64_t>(sizeof(float)) +
                                     note_bytes * static_cast<std::int64_t>(ranks_));
  const auto place = [&](std::size_t holder, std::size_t t) {
    const std::int64_t notes_before = note_bytes * static_cast<std::int64_t>(holder + 1);
    const std::int64_t byte = notes_before + segments_[at(holder, slice, t)].floats * static_cast<std::int64_t>(sizeof(float));
    return reinterpret_cast<float*>(sent_gradients_.data() + byte);
  };
  std::vector<float*> sums(table_count());
  for (std::size_t t = 0; t < table_count(); ++t) {
    if (placement_.is_split(t)) {
      sums[t] = joined_[slice * table_count() + t].data();
      continue;
    }
    for (std::size_t holder = 0; holder < ranks_; ++holder) {
      if (segments_[at(holder, slice, t)].count > 0) sums[t] = place(holder, t);
    }
  }
  lookups_.sum_gradients(*prepared_[slice], gradients, sums, pool);
  for (std::size_t t = 0; t < table_count(); ++t) {
    if (!placement_.is_split(t)) continue;
    for (std::size_t holder = 0; holder < ranks_; ++holder) {
      const Segment& segment = segments_[at(holder, slice, t)];
      std::copy_n(sums[t] + segment.first * table(t).dim, segment.count * table(t).dim, place(holder, t));
    }
  }
}

void ShardedTables::exchange_gradients(std::span<const double> note) {
  if (note.size() > note_size_) fail<Error>("a note of {} numbers where at most {} fit", note.size(), note_size_);
  const auto note_bytes = static_cast<std::int64_t>(note_size_ * sizeof(double));
  const std::vector<std::int64_t> sent = in_bytes(segment_floats_, sizeof(float), note_bytes);
  const std::vector<std::int64_t> received = in_bytes(request_floats_, sizeof(float), note_bytes);
  // add_gradients() was not called when this rank had no rows at all.
  if (sent_gradients_.size() != sum_of(sent)) sent_gradients_.resize_unspecified(sum_of(sent));
  received_gradients_.resize_unspecified(sum_of(received));
  std::int64_t byte = 0;
  for (std::size_t holder = 0; holder < ranks_; ++holder) {
    std::memcpy(sent_gradients_.data() + byte, note.data(), note.size_bytes());
    byte += sent[holder];
  }
  communicator_.all_to_all(bytes_of(sent_gradients_), sent, writable_bytes_of(received_gradients_), received);
  byte = 0;
  for (std::size_t rank = 0; rank < ranks_; ++rank) {
    notes_[rank].resize(note.size());
    std::memcpy(notes_[rank].data(), received_gradients_.data() + byte, note.size_bytes());
    byte += received[rank];
  }
}

void ShardedTables::update(const EmbeddingEngine::UpdateSettings& settings, bool l2_on_all_rows, ThreadPool& pool) {
  if (held_ == nullptr) return;
  const auto note_bytes = static_cast<std::int64_t>(note_size_ * sizeof(double));
  std::vector<IdColumnView> columns;
  std::vector<const float*> gradients;
  for (std::size_t t = 0; t < table_count(); ++t) {
    const std::size_t index = held_index_[t];
    if (index == kNotHeld) continue;
    std::vector<std::int32_t>& ids = held_ids_[index];
    ids.clear();
    for (std::size_t i = t; i < requests_.size(); i += table_count()) {
      const std::int32_t* const from = requested_ids_.data() + requests_[i].ids;
      ids.insert(ids.end(), from, from + requests_[i].count);
    }
    held_gradients_[index].resize_unspecified(static_cast<std::int64_t>(ids.size()) * table(t).dim);
    float* to = held_gradients_[index].data();
    for (std::size_t i = t; i < requests_.size(); i += table_count()) {
      const auto rank = static_cast<std::int64_t>(i / (slices_ * table_count()));
      const std::int64_t byte = note_bytes * (rank + 1) + requests_[i].floats * static_cast<std::int64_t>(sizeof(float));
      const std::int64_t floats = requests_[i].count * table(t).dim;
      std::memcpy(to, received_gradients_.data() + byte, static_cast<std::size_t>(floats) * sizeof(float));
      to += floats;
    }
    columns.push_back({.ids = ids, .offsets = {}, .rows = static_cast<std::int64_t>(ids.size()), .name = table(t).name});
    gradients.push_back(held_gradients_[index].data());
  }
  held_->prepare(columns, held_prepared_, pool);
  held_->update(held_prepared_, gradients, settings, pool);
  if (l2_on_all_rows) held_->decay_untouched(held_prepared_, settings, pool);
}

std::size_t ShardedTables::require_held(std::size_t t, std::int64_t first, std::int64_t count) const {
  const RowRange own = own_range(t);
  if (held_index_.at(t) == kNotHeld || first < own.first || count < 0 || first + count > own.end()) {
    fail<Error>("rows {} to {} of table \"{}\" are not on rank {}, which holds {} to {}", first, first + count, table(t).name,
                communicator_.rank(), own.first, own.end());
  }
  return held_index_[t];
}

void ShardedTables::read_rows(std::size_t table, std::int64_t first, std::int64_t count, float* rows, float* state) const {
  held_->read_rows(require_held(table, first, count), first - own_range(table).first, count, rows, state);
}

void ShardedTables::write_rows(std::size_t table, std::int64_t first, std::int64_t count, const float* rows, const float* state) {
  held_->write_rows(require_held(table, first, count), first - own_range(table).first, count, rows, state);
}

}  // namespace rechost
