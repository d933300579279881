#include "embedding/sharded_tables.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "base/error.h"
#include "base/host.h"

namespace rechost {
namespace {

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

namespace {

RankLayout layout_of(Communicator& ranks, int ranks_per_node) {
  if (ranks_per_node > 0) return {ranks.world_size(), ranks_per_node};
  const std::string own = host_name();
  std::vector<std::string> names;
  for (const std::vector<std::byte>& name : gather_packets(ranks, std::as_bytes(std::span(own)))) names.emplace_back(reinterpret_cast<const char*>(name.data()), name.size());
  return RankLayout(names);
}

/// Rank 0's, on every rank: the last bits of what costs are reckoned from may differ between processors.
Placement agreed_placement(const std::vector<TableSize>& sizes, const ShardedTables::Settings& settings) {
  Communicator& ranks = *settings.communicator;
  const RankLayout layout = layout_of(ranks, settings.ranks_per_node);
  Placement placement(sizes, layout, settings.bytes_per_rank);
  if (ranks.world_size() == 1) return placement;
  std::vector<std::int32_t> choices;
  for (std::size_t t = 0; t < sizes.size(); ++t) {
    int holder = 0;
    while (holder + 1 < ranks.world_size() && placement.shard(t, holder).is_empty()) ++holder;
    choices.push_back(static_cast<std::int32_t>(placement.sharding(t)));
    choices.push_back(holder);
  }
  ranks.broadcast(std::as_writable_bytes(std::span(choices)), 0);
  std::vector<TableSize> agreed = sizes;
  for (std::size_t t = 0; t < sizes.size(); ++t) {
    agreed[t].sharding = static_cast<Sharding>(choices[2 * t]);
    agreed[t].rank = is_on_some(agreed[t].sharding) ? choices[2 * t + 1] : TableSize::kAnyRank;
  }
  return Placement(std::move(agreed), layout);
}

}  // namespace

std::vector<TableConfig> ShardedTables::held_tables(const std::vector<TableConfig>& tables) {
  std::vector<TableConfig> held;
  for (std::size_t t = 0; t < tables.size(); ++t) {
    const TableShard& shard = own_shard(t);
    if (shard.is_empty()) continue;
    held_index_[t] = held.size();
    held.push_back(tables[t]);
    held.back().rows = shard.places.count;
    held.back().dim = shard.columns.count;
    held.back().order = placement_.order(t);
    held.back().first_row = shard.places.first;
    held.back().first_column = shard.columns.first;
  }
  return held;
}

ShardedTables::ShardedTables(const std::vector<TableConfig>& tables, std::vector<LookupConfig> lookups, std::vector<BlockConfig> blocks,
                             std::uint64_t seed, ThreadPool& pool, const Settings& settings)
    : communicator_(*settings.communicator),
      ranks_(static_cast<std::size_t>(communicator_.world_size())),
      slices_(settings.slices),
      note_size_(settings.note_size),
      placement_(agreed_placement(table_sizes(tables), settings)),
      lookups_(tables, std::move(lookups), std::move(blocks), seed, pool, EmbeddingEngine::Storage::kElsewhere),
      held_index_(tables.size(), kNotHeld),
      notes_(ranks_),
      segments_(ranks_ * slices_ * tables.size()),
      requests_(segments_.size()),
      segment_floats_{std::vector<std::int64_t>(ranks_), std::vector<std::int64_t>(ranks_)},
      request_floats_(segment_floats_),
      by_holder_(slices_ * tables.size()),
      joined_(by_holder_.size()) {
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

void ShardedTables::find_rows(std::span<const std::int32_t> rows, std::size_t slice, std::size_t t) {
  const RowOrder& order = placement_.order(t);
  if (order.as_numbered()) {
    for (std::size_t holder = 0; holder < ranks_; ++holder) {
      const TableShard& shard = placement_.shard(t, static_cast<int>(holder));
      if (shard.is_empty()) continue;
      const auto begin = std::lower_bound(rows.begin(), rows.end(), shard.places.first);
      const auto end = std::lower_bound(begin, rows.end(), shard.places.end());
      segments_[at(holder, slice, t)] = {.first = begin - rows.begin(), .count = end - begin};
    }
    return;
  }
  // Counted, then put where their holder's begin: rows of one holder stay ascending.
  std::vector<std::int64_t> ends;
  for (std::size_t holder = 0; holder < ranks_; ++holder) ends.push_back(placement_.shard(t, static_cast<int>(holder)).places.end());
  const auto holder_of = [&](std::int32_t row) { return static_cast<std::size_t>(std::upper_bound(ends.begin(), ends.end(), order.place_of(row)) - ends.begin()); };
  holders_.resize_unspecified(static_cast<std::int64_t>(rows.size()));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::size_t holder = holder_of(rows[i]);
    holders_[static_cast<std::int64_t>(i)] = static_cast<std::int32_t>(holder);
    ++segments_[at(holder, slice, t)].count;
  }
  std::vector<std::int64_t> next(ranks_, 0);
  for (std::size_t holder = 0; holder < ranks_; ++holder) {
    Segment& segment = segments_[at(holder, slice, t)];
    segment.first = next[holder];
    if (holder + 1 < ranks_) next[holder + 1] = segment.first + segment.count;
  }
  ReusedArray<std::int32_t>& by_holder = by_holder_[slice * table_count() + t];
  by_holder.resize_unspecified(static_cast<std::int64_t>(rows.size()));
  for (std::int64_t i = 0; i < by_holder.size(); ++i) by_holder[next[static_cast<std::size_t>(holders_[i])]++] = static_cast<std::int32_t>(i);
}

void ShardedTables::find_segments(std::span<const PreparedIds* const> slices) {
  std::fill(segments_.begin(), segments_.end(), Segment{});
  for (std::size_t s = 0; s < slices.size(); ++s) {
    for (std::size_t t = 0; t < table_count(); ++t) find_rows(lookups_.unique_rows(*slices[s], t), s, t);
  }
  std::int64_t rows = 0;
  std::int64_t gradients = 0;
  for (std::size_t holder = 0; holder < ranks_; ++holder) {
    const std::int64_t rows_before = rows;
    const std::int64_t gradients_before = gradients;
    for (std::size_t i = at(holder, 0, 0); i < at(holder + 1, 0, 0); ++i) {
      const std::size_t t = i % table_count();
      Segment& segment = segments_[i];
      const std::int64_t floats = segment.count * columns(t, holder);
      segment.rows = rows;
      segment.gradients = gradients;
      rows += sends_rows(t, holder, own()) ? floats : 0;
      gradients += floats;
    }
    segment_floats_.rows[holder] = rows - rows_before;
    segment_floats_.gradients[holder] = gradients - gradients_before;
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
  std::int64_t rows = 0;
  std::int64_t gradients = 0;
  for (std::size_t rank = 0; rank < ranks_; ++rank) {
    const std::byte* const from = received.data() + rank * message;
    notes_[rank].resize(note.size());
    std::memcpy(notes_[rank].data(), from, note.size_bytes());
    std::memcpy(numbers.data(), from + note_bytes, counts * sizeof(std::int32_t));
    const std::int64_t rows_before = rows;
    const std::int64_t gradients_before = gradients;
    for (std::size_t i = 0; i < counts; ++i) {
      Request& request = requests_[at(rank, 0, 0) + i];
      const std::size_t t = i % table_count();
      if (numbers[i] < 0 || (numbers[i] > 0 && held_index_[t] == kNotHeld)) {
        fail<CommError>("rank {} asks for {} rows of table \"{}\", of which rank {} holds none", rank, numbers[i], table(t).name,
                        communicator_.rank());
      }
      request = {.count = numbers[i], .ids = ids, .rows = rows, .gradients = gradients};
      const std::int64_t floats = request.count * columns(t, own());
      ids += request.count;
      rows += sends_rows(t, own(), rank) ? floats : 0;
      gradients += floats;
    }
    request_floats_.rows[rank] = rows - rows_before;
    request_floats_.gradients[rank] = gradients - gradients_before;
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
        const std::span<const std::int32_t> rows = lookups_.unique_rows(*slices[s], t);
        // The holder numbers its rows from 0.
        const auto first = static_cast<std::int32_t>(placement_.shard(t, static_cast<int>(holder)).places.first);
        const RowOrder& order = placement_.order(t);
        if (order.as_numbered()) {
          const std::int32_t* const from = rows.data() + segment.first;
          for (std::int64_t i = 0; i < segment.count; ++i) *to++ = from[i] - first;
        } else {
          const std::int32_t* const which = by_holder_[s * table_count() + t].data() + segment.first;
          for (std::int64_t i = 0; i < segment.count; ++i) *to++ = static_cast<std::int32_t>(order.place_of(rows[static_cast<std::size_t>(which[i])])) - first;
        }
      }
    }
  }
  communicator_.all_to_all(bytes_of(sent_ids_), in_bytes(sent, sizeof(std::int32_t)), writable_bytes_of(requested_ids_),
                           in_bytes(received, sizeof(std::int32_t)));
}

void ShardedTables::exchange_rows() {
  sent_rows_.resize_unspecified(sum_of(request_floats_.rows));
  received_rows_.resize_unspecified(sum_of(segment_floats_.rows));
  for (std::size_t i = 0; i < requests_.size(); ++i) {
    const Request& request = requests_[i];
    const std::size_t t = i % table_count();
    if (request.count == 0 || !sends_rows(t, own(), i / (slices_ * table_count()))) continue;
    const auto ids = requested_ids_.view().subspan(static_cast<std::size_t>(request.ids), static_cast<std::size_t>(request.count));
    held_->gather_rows(held_index_[t], ids, sent_rows_.data() + request.rows);
  }
  communicator_.all_to_all(bytes_of(sent_rows_), in_bytes(request_floats_.rows, sizeof(float)), writable_bytes_of(received_rows_),
                           in_bytes(segment_floats_.rows, sizeof(float)));
}

template <typename Copy>
void ShardedTables::for_each_piece(std::size_t holder, std::size_t slice, std::size_t t, const Copy& copy) {
  const Segment& segment = segments_[at(holder, slice, t)];
  const ColumnRange columns = placement_.shard(t, static_cast<int>(holder)).columns;
  const std::int64_t dim = table(t).dim;
  const bool in_order = placement_.order(t).as_numbered();
  if (in_order && columns.count == dim) {
    copy(segment.first * dim, std::int64_t{0}, segment.count * dim);
    return;
  }
  const std::int32_t* const which = by_holder_[slice * table_count() + t].data();
  for (std::int64_t i = 0; i < segment.count; ++i) {
    const std::int64_t row = in_order ? segment.first + i : which[segment.first + i];
    copy(row * dim + columns.first, i * columns.count, columns.count);
  }
}

void ShardedTables::join_split_rows() {
  for (std::size_t s = 0; s < prepared_.size(); ++s) {
    for (std::size_t t = 0; t < table_count(); ++t) {
      if (!placement_.is_split(t)) continue;
      ReusedArray<float>& joined = joined_[s * table_count() + t];
      joined.resize_unspecified(static_cast<std::int64_t>(lookups_.unique_rows(*prepared_[s], t).size()) * table(t).dim);
      for (std::size_t holder = 0; holder < ranks_; ++holder) {
        const float* const received = received_rows_.data() + segments_[at(holder, s, t)].rows;
        for_each_piece(holder, s, t, [&](std::int64_t to, std::int64_t from, std::int64_t floats) { std::copy_n(received + from, floats, joined.data() + to); });
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
      if (segment.count > 0 && sends_rows(t, holder, own())) rows[t] = received_rows_.data() + segment.rows;
    }
  }
  lookups_.forward_from(*prepared_[slice], rows, outputs, pool);
}

void ShardedTables::add_gradients(std::size_t slice, std::span<const float* const> gradients, ThreadPool& pool) {
  const auto note_bytes = static_cast<std::int64_t>(note_size_ * sizeof(double));
  sent_gradients_.resize_unspecified(sum_of(segment_floats_.gradients) * static_cast<std::int64_t>(sizeof(float)) +
                                     note_bytes * static_cast<std::int64_t>(ranks_));
  const auto place = [&](std::size_t holder, std::size_t t) {
    const std::int64_t notes_before = note_bytes * static_cast<std::int64_t>(holder + 1);
    const std::int64_t byte = notes_before + segments_[at(holder, slice, t)].gradients * static_cast<std::int64_t>(sizeof(float));
    return reinterpret_cast<float*>(sent_gradients_.data() + byte);
  };
  std::vector<float*> sums(table_count());
  for (std::size_t t = 0; t < table_count(); ++t) {
    if (placement_.is_split(t)) {
      sums[t] = joined_[slice * table_count() + t].data();
      continue;
    }
    for (std::size_t holder = 0; holder < ranks_; ++holder) {
      if (segments_[at(holder, slice, t)].count > 0 && sends_rows(t, holder, own())) sums[t] = place(holder, t);
    }
  }
  lookups_.sum_gradients(*prepared_[slice], gradients, sums, pool);
  for (std::size_t t = 0; t < table_count(); ++t) {
    if (!placement_.is_split(t) && !placement_.is_copied(t)) continue;
    for (std::size_t holder = 0; holder < ranks_; ++holder) {
      float* const part = place(holder, t);
      if (part == sums[t]) continue;
      for_each_piece(holder, slice, t, [&](std::int64_t from, std::int64_t to, std::int64_t floats) { std::copy_n(sums[t] + from, floats, part + to); });
    }
  }
}

void ShardedTables::exchange_gradients(std::span<const double> note) {
  if (note.size() > note_size_) fail<Error>("a note of {} numbers where at most {} fit", note.size(), note_size_);
  const auto note_bytes = static_cast<std::int64_t>(note_size_ * sizeof(double));
  const std::vector<std::int64_t> sent = in_bytes(segment_floats_.gradients, sizeof(float), note_bytes);
  const std::vector<std::int64_t> received = in_bytes(request_floats_.gradients, sizeof(float), note_bytes);
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
  std::vector<IdColumnView> views;
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
    held_gradients_[index].resize_unspecified(static_cast<std::int64_t>(ids.size()) * columns(t, own()));
    float* to = held_gradients_[index].data();
    for (std::size_t i = t; i < requests_.size(); i += table_count()) {
      const auto rank = static_cast<std::int64_t>(i / (slices_ * table_count()));
      const std::int64_t byte = note_bytes * (rank + 1) + requests_[i].gradients * static_cast<std::int64_t>(sizeof(float));
      const std::int64_t floats = requests_[i].count * columns(t, own());
      std::memcpy(to, received_gradients_.data() + byte, static_cast<std::size_t>(floats) * sizeof(float));
      to += floats;
    }
    views.push_back({.ids = ids, .offsets = {}, .rows = static_cast<std::int64_t>(ids.size()), .name = table(t).name});
    gradients.push_back(held_gradients_[index].data());
  }
  held_->prepare(views, held_prepared_, pool);
  held_->update(held_prepared_, gradients, settings, pool);
  if (l2_on_all_rows) held_->decay_untouched(held_prepared_, settings, pool);
}

}  // namespace rechost
