// Who asks whom for which rows of a step: what ranks can find out ahead of it.
#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/trace.h"
#include "embedding/sharded_tables.h"

namespace rechost {

void ShardedTables::find_rows(std::span<const std::int32_t> rows, std::size_t slice, std::size_t t, RowRequests& made) const {
  const RowOrder& order = placement_.order(t);
  if (order.as_numbered()) {
    for (std::size_t holder = 0; holder < ranks_; ++holder) {
      const TableShard& shard = placement_.shard(t, static_cast<int>(holder));
      if (shard.is_empty()) continue;
      const auto begin = std::lower_bound(rows.begin(), rows.end(), shard.places.first);
      const auto end = std::lower_bound(begin, rows.end(), shard.places.end());
      made.segments[at(holder, slice, t)] = {.first = begin - rows.begin(), .count = end - begin};
    }
    return;
  }
  // Counted, then put where their holder's begin: rows of one holder stay ascending.
  std::vector<std::int64_t> ends;
  for (std::size_t holder = 0; holder < ranks_; ++holder) ends.push_back(placement_.shard(t, static_cast<int>(holder)).places.end());
  const auto holder_of = [&](std::int32_t row) { return static_cast<std::size_t>(std::upper_bound(ends.begin(), ends.end(), order.place_of(row)) - ends.begin()); };
  made.holders.resize_unspecified(static_cast<std::int64_t>(rows.size()));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::size_t holder = holder_of(rows[i]);
    made.holders[static_cast<std::int64_t>(i)] = static_cast<std::int32_t>(holder);
    ++made.segments[at(holder, slice, t)].count;
  }
  std::vector<std::int64_t> next(ranks_, 0);
  for (std::size_t holder = 0; holder < ranks_; ++holder) {
    RowRequests::Segment& segment = made.segments[at(holder, slice, t)];
    segment.first = next[holder];
    if (holder + 1 < ranks_) next[holder + 1] = segment.first + segment.count;
  }
  ReusedArray<std::int32_t>& by_holder = made.by_holder[slice * table_count() + t];
  by_holder.resize_unspecified(static_cast<std::int64_t>(rows.size()));
  for (std::int64_t i = 0; i < by_holder.size(); ++i) by_holder[next[static_cast<std::size_t>(made.holders[i])]++] = static_cast<std::int32_t>(i);
}

void ShardedTables::find_segments(std::span<const PreparedIds* const> slices, RowRequests& made) const {
  made.segments.assign(ranks_ * slices_ * table_count(), {});
  made.by_holder.resize(slices_ * table_count());
  made.segment_floats.rows.resize(ranks_);
  made.segment_floats.gradients.resize(ranks_);
  for (std::size_t s = 0; s < slices.size(); ++s) {
    for (std::size_t t = 0; t < table_count(); ++t) find_rows(lookups_.unique_rows(*slices[s], t), s, t, made);
  }
  std::int64_t rows = 0;
  std::int64_t gradients = 0;
  for (std::size_t holder = 0; holder < ranks_; ++holder) {
    const std::int64_t rows_before = rows;
    const std::int64_t gradients_before = gradients;
    for (std::size_t i = at(holder, 0, 0); i < at(holder + 1, 0, 0); ++i) {
      const std::size_t t = i % table_count();
      RowRequests::Segment& segment = made.segments[i];
      const std::int64_t floats = segment.count * columns(t, holder);
      segment.rows = rows;
      segment.gradients = gradients;
      rows += sends_rows(t, holder, own()) ? floats : 0;
      gradients += floats;
    }
    made.segment_floats.rows[holder] = rows - rows_before;
    made.segment_floats.gradients[holder] = gradients - gradients_before;
  }
}

/// Row numbers of one segment, as the holder numbers them: from 0.
void ShardedTables::write_ids(std::span<const PreparedIds* const> slices, std::size_t holder, const RowRequests& made, std::int32_t* to) const {
  for (std::size_t s = 0; s < slices.size(); ++s) {
    for (std::size_t t = 0; t < table_count(); ++t) {
      const RowRequests::Segment& segment = made.segments[at(holder, s, t)];
      const std::span<const std::int32_t> rows = lookups_.unique_rows(*slices[s], t);
      const auto first = static_cast<std::int32_t>(placement_.shard(t, static_cast<int>(holder)).places.first);
      const RowOrder& order = placement_.order(t);
      if (order.as_numbered()) {
        const std::int32_t* const from = rows.data() + segment.first;
        for (std::int64_t i = 0; i < segment.count; ++i) *to++ = from[i] - first;
      } else {
        const std::int32_t* const which = made.by_holder[s * table_count() + t].data() + segment.first;
        for (std::int64_t i = 0; i < segment.count; ++i) *to++ = static_cast<std::int32_t>(order.place_of(rows[static_cast<std::size_t>(which[i])])) - first;
      }
    }
  }
}

/// One packet for each holder: the note, how many rows of each slice and table, their numbers.
std::vector<std::int64_t> ShardedTables::write_packets(std::span<const PreparedIds* const> slices, std::span<const double> note, RowRequests& made) const {
  const std::size_t counts = slices_ * table_count();
  const std::size_t note_bytes = note_size_ * sizeof(double);
  std::vector<std::int64_t> bytes;
  std::int64_t total = 0;
  for (std::size_t holder = 0; holder < ranks_; ++holder) {
    std::int64_t numbers = static_cast<std::int64_t>(counts);
    for (std::size_t i = at(holder, 0, 0); i < at(holder + 1, 0, 0); ++i) numbers += made.segments[i].count;
    bytes.push_back(static_cast<std::int64_t>(note_bytes) + numbers * static_cast<std::int64_t>(sizeof(std::int32_t)));
    total += bytes.back();
  }
  made.sent.resize_unspecified(total);
  std::byte* to = made.sent.data();
  for (std::size_t holder = 0; holder < ranks_; ++holder) {
    std::memset(to, 0, note_bytes);
    std::memcpy(to, note.data(), note.size_bytes());
    auto* const numbers = reinterpret_cast<std::int32_t*>(to + note_bytes);
    for (std::size_t i = 0; i < counts; ++i) numbers[i] = static_cast<std::int32_t>(made.segments[at(holder, 0, 0) + i].count);
    write_ids(slices, holder, made, numbers + counts);
    to += bytes[holder];
  }
  return bytes;
}

void ShardedTables::read_packets(std::size_t note_numbers, RowRequests& made) const {
  const std::size_t counts = slices_ * table_count();
  const std::size_t note_bytes = note_size_ * sizeof(double);
  made.notes.resize(ranks_);
  made.requests.assign(ranks_ * counts, {});
  made.request_floats.rows.resize(ranks_);
  made.request_floats.gradients.resize(ranks_);
  std::int64_t rows = 0;
  std::int64_t gradients = 0;
  for (std::size_t rank = 0; rank < ranks_; ++rank) {
    const std::vector<std::byte>& packet = made.received[rank];
    const std::size_t header = note_bytes + counts * sizeof(std::int32_t);
    if (packet.size() < header) fail<CommError>("rank {} asks for rows in {} bytes, less than the {} of an empty wish", rank, packet.size(), header);
    made.notes[rank].resize(note_numbers);
    std::memcpy(made.notes[rank].data(), packet.data(), note_numbers * sizeof(double));
    const auto* const numbers = reinterpret_cast<const std::int32_t*>(packet.data() + note_bytes);
    const auto ids = static_cast<std::int64_t>((packet.size() - header) / sizeof(std::int32_t));
    std::int64_t id = 0;
    const std::int64_t rows_before = rows;
    const std::int64_t gradients_before = gradients;
    for (std::size_t i = 0; i < counts; ++i) {
      const std::size_t t = i % table_count();
      const std::int32_t count = numbers[i];
      if (count < 0 || count > ids - id || (count > 0 && held_index_[t] == kNotHeld)) {
        fail<CommError>("rank {} asks for {} rows of table \"{}\" in a packet for {}; rank {} holds {} of it", rank, count, table(t).name, ids - id,
                        communicator_.rank(), held_index_[t] == kNotHeld ? "nothing" : "some");
      }
      made.requests[at(rank, 0, 0) + i] = {.count = count, .ids = numbers + counts + id, .rows = rows, .gradients = gradients};
      const std::int64_t floats = count * columns(t, own());
      id += count;
      rows += sends_rows(t, own(), rank) ? floats : 0;
      gradients += floats;
    }
    made.request_floats.rows[rank] = rows - rows_before;
    made.request_floats.gradients[rank] = gradients - gradients_before;
  }
}

void ShardedTables::request_by(Communicator& communicator, std::span<const PreparedIds* const> slices, std::span<const double> note, RowRequests& made) const {
  if (slices.size() > slices_) fail<Error>("{} slices for tables made for {}", slices.size(), slices_);
  if (note.size() > note_size_) fail<Error>("a note of {} numbers where at most {} fit", note.size(), note_size_);
  const Traffic before = communicator.traffic();
  find_segments(slices, made);
  const std::vector<std::int64_t> bytes = write_packets(slices, note, made);
  communicator.all_to_all_packets(made.sent.view(), bytes, made.received);
  read_packets(note.size(), made);
  made.traffic = communicator.traffic() - before;
  made.held_is_prepared = false;
  made.made = true;
}

void ShardedTables::request(std::span<const PreparedIds* const> slices, std::span<const double> note, RowRequests& requests) {
  const TraceSpan span("id exchange");
  request_by(communicator_, slices, note, requests);
}

void ShardedTables::request_ahead(std::int64_t step, std::span<const PreparedIds* const> slices, std::span<const double> note, RowRequests& requests) {
  // The others would take the rows of this step for those of one that could not be prepared here. Their wait ends when this rank fails at that step.
  if (step != next_request_) fail<Error>("the rows of step {} cannot be asked for: those of step {} were not", step, next_request_);
  TraceSpan span("id exchange", step + 1);
  request_by(*ahead_, slices, note, requests);
  span.set_bytes(requests.traffic.sent_bytes, requests.traffic.received_bytes);
  ThreadPool own(1);
  if (held_ != nullptr) prepare_held(requests, own);
  next_request_ = step + 1;
}

void ShardedTables::end_requests() {
  if (ahead_ != nullptr) ahead_->abort();
}

void ShardedTables::prepare_held(RowRequests& made, ThreadPool& pool) const {
  std::vector<IdColumnView> views;
  made.held_ids.resize(held_gradients_.size());
  for (std::size_t t = 0; t < table_count(); ++t) {
    const std::size_t index = held_index_[t];
    if (index == kNotHeld) continue;
    std::vector<std::int32_t>& ids = made.held_ids[index];
    ids.clear();
    for (std::size_t i = t; i < made.requests.size(); i += table_count()) ids.insert(ids.end(), made.requests[i].ids, made.requests[i].ids + made.requests[i].count);
    views.push_back({.ids = ids, .offsets = {}, .rows = static_cast<std::int64_t>(ids.size()), .name = table(t).name});
  }
  held_->prepare(views, made.held, pool);
  made.held_is_prepared = true;
}

}  // namespace rechost
