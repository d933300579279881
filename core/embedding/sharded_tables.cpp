#include "embedding/sharded_tables.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "base/error.h"
#include "base/host.h"
#include "base/trace.h"
#include "comm/link_speed.h"

namespace rechost {
namespace {

/// Bytes of a value of 16 bits.
constexpr std::int64_t kHalf = sizeof(std::uint16_t);

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

RankLayout layout_by_host(Communicator& ranks) {
  const std::string own = host_name();
  std::vector<std::string> names;
  for (const std::vector<std::byte>& name : gather_packets(ranks, std::as_bytes(std::span(own)))) names.emplace_back(reinterpret_cast<const char*>(name.data()), name.size());
  return RankLayout(names);
}

/// With the costs of links that were given, the others measured, if tables are free to lie where that matters.
RankLayout layout_of(const std::vector<TableSize>& sizes, const ShardedTables::Settings& settings) {
  Communicator& ranks = *settings.communicator;
  RankLayout layout = settings.ranks_per_node > 0 ? RankLayout(ranks.world_size(), settings.ranks_per_node) : layout_by_host(ranks);
  WireCosts wire = settings.wire_costs;
  const bool any_free = std::any_of(sizes.begin(), sizes.end(), [](const TableSize& table) { return table.sharding == Sharding::kAuto && table.rank == TableSize::kAnyRank; });
  if (any_free && (wire.within == 0.0 || wire.between == 0.0)) {
    const LinkSpeed speed = measure_links(ranks, layout.nodes());
    const WireCosts measured = WireCosts::of_speeds(1e-9 * speed.within, 1e-9 * speed.between, {0.0, 0.0});
    if (wire.within == 0.0) wire.within = measured.within;
    if (wire.between == 0.0) wire.between = measured.between;
  }
  layout.set_wire(wire);
  return layout;
}

/// Rank 0's, on every rank: the last bits of what costs are reckoned from may differ between processors.
Placement agreed_placement(const std::vector<TableSize>& sizes, const ShardedTables::Settings& settings) {
  Communicator& ranks = *settings.communicator;
  const RankLayout layout = layout_of(sizes, settings);
  Placement placement(sizes, layout, settings.bytes_per_rank);
  if (ranks.world_size() == 1) return placement;
  std::vector<std::int32_t> choices;
  for (std::size_t t = 0; t < sizes.size(); ++t) {
    choices.push_back(static_cast<std::int32_t>(placement.sharding(t)));
    choices.push_back(placement.first_holder(t));
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
      ahead_(settings.ahead),
      ranks_(static_cast<std::size_t>(communicator_.world_size())),
      slices_(settings.slices),
      note_size_(settings.note_size),
      placement_(agreed_placement(table_sizes(tables), settings)),
      lookups_(tables, std::move(lookups), std::move(blocks), seed, pool, EmbeddingEngine::Storage::kElsewhere),
      held_index_(tables.size(), kNotHeld),
      wire_(settings.wire),
      gradient_scale_(settings.gradient_scale),
      notes_(ranks_),
      joined_(slices_ * tables.size()) {
  std::vector<TableConfig> held = held_tables(tables);
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

void ShardedTables::exchange_rows() {
  const std::vector<RowRequests::Request>& requests = requests_->requests;
  const std::vector<std::int64_t>& sent = requests_->request_floats.rows;
  const std::vector<std::int64_t>& received = requests_->segment_floats.rows;
  sent_rows_.resize_unspecified(sum_of(sent));
  received_rows_.resize_unspecified(sum_of(received));
  {
    TraceSpan span("gather rows");
    for (std::size_t i = 0; i < requests.size(); ++i) {
      const RowRequests::Request& request = requests[i];
      const std::size_t t = i % table_count();
      if (request.count == 0 || !sends_rows(t, own(), i / (slices_ * table_count()))) continue;
      held_->gather_rows(held_index_[t], std::span(request.ids, static_cast<std::size_t>(request.count)), sent_rows_.data() + request.rows);
    }
  }
  if (wire_ == RowPrecision::kFp32) {
    communicator_.all_to_all(bytes_of(sent_rows_), in_bytes(sent, sizeof(float)), writable_bytes_of(received_rows_), in_bytes(received, sizeof(float)));
    return;
  }
  sent_halves_.resize_unspecified(sent_rows_.size());
  received_halves_.resize_unspecified(received_rows_.size());
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const RowRequests::Request& request = requests[i];
    const std::size_t t = i % table_count();
    if (request.count == 0 || !sends_rows(t, own(), i / (slices_ * table_count()))) continue;
    narrow(t, "a row", sent_rows_.data() + request.rows, request.count * columns(t, own()), sent_halves_.data() + request.rows);
  }
  communicator_.all_to_all(bytes_of(sent_halves_), in_bytes(sent, kHalf), writable_bytes_of(received_halves_), in_bytes(received, kHalf));
  widen_values(wire_, received_halves_.data(), received_rows_.size(), received_rows_.data());
}

void ShardedTables::narrow(std::size_t t, const char* what, const float* from, std::int64_t count, std::uint16_t* to) const {
  const std::int64_t written = narrow_values(wire_, from, count, to);
  if (written == count) return;
  fail<Error>("{} of table \"{}\" has the value {}, and comm.wire_precision = \"{}\" carries numbers up to {}: set it to \"{}\"", what, table(t).name, from[written],
              row_precision_name(wire_), largest_value(wire_), wire_ == RowPrecision::kFp16 ? "bf16" : "fp32");
}

template <typename Copy>
void ShardedTables::for_each_piece(std::size_t holder, std::size_t slice, std::size_t t, const Copy& copy) {
  const RowRequests::Segment& segment = requests_->segments[at(holder, slice, t)];
  const ColumnRange columns = placement_.shard(t, static_cast<int>(holder)).columns;
  const std::int64_t dim = table(t).dim;
  const bool in_order = placement_.order(t).as_numbered();
  if (in_order && columns.count == dim) {
    copy(segment.first * dim, std::int64_t{0}, segment.count * dim);
    return;
  }
  const std::int32_t* const which = requests_->by_holder[slice * table_count() + t].data();
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
        const float* const received = received_rows_.data() + requests_->segments[at(holder, s, t)].rows;
        for_each_piece(holder, s, t, [&](std::int64_t to, std::int64_t from, std::int64_t floats) { std::copy_n(received + from, floats, joined.data() + to); });
      }
    }
  }
}

void ShardedTables::fetch(std::span<const PreparedIds* const> slices, RowRequests& requests) {
  prepared_.assign(slices.begin(), slices.end());
  requests_ = &requests;
  requests.made = false;
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
      const RowRequests::Segment& segment = requests_->segments[at(holder, slice, t)];
      if (segment.count > 0 && sends_rows(t, holder, own())) rows[t] = received_rows_.data() + segment.rows;
    }
  }
  lookups_.forward_from(*prepared_[slice], rows, outputs, pool);
}

void ShardedTables::add_gradients(std::size_t slice, std::span<const float* const> gradients, ThreadPool& pool) {
  const auto note_bytes = static_cast<std::int64_t>(note_size_ * sizeof(double));
  sent_gradients_.resize_unspecified(sum_of(requests_->segment_floats.gradients) * static_cast<std::int64_t>(sizeof(float)) +
                                     note_bytes * static_cast<std::int64_t>(ranks_));
  const auto place = [&](std::size_t holder, std::size_t t) {
    const std::int64_t notes_before = note_bytes * static_cast<std::int64_t>(holder + 1);
    const std::int64_t byte = notes_before + requests_->segments[at(holder, slice, t)].gradients * static_cast<std::int64_t>(sizeof(float));
    return reinterpret_cast<float*>(sent_gradients_.data() + byte);
  };
  std::vector<float*> sums(table_count());
  for (std::size_t t = 0; t < table_count(); ++t) {
    if (placement_.is_split(t)) {
      sums[t] = joined_[slice * table_count() + t].data();
      continue;
    }
    for (std::size_t holder = 0; holder < ranks_; ++holder) {
      if (requests_->segments[at(holder, slice, t)].count > 0 && sends_rows(t, holder, own())) sums[t] = place(holder, t);
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
  const std::vector<std::int64_t> sent = in_bytes(requests_->segment_floats.gradients, sizeof(float), note_bytes);
  const std::vector<std::int64_t> received = in_bytes(requests_->request_floats.gradients, sizeof(float), note_bytes);
  // add_gradients() was not called when this rank had no rows at all.
  if (sent_gradients_.size() != sum_of(sent)) sent_gradients_.resize_unspecified(sum_of(sent));
  received_gradients_.resize_unspecified(sum_of(received));
  std::int64_t byte = 0;
  for (std::size_t holder = 0; holder < ranks_; ++holder) {
    std::memcpy(sent_gradients_.data() + byte, note.data(), note.size_bytes());
    byte += sent[holder];
  }
  if (wire_ == RowPrecision::kFp32) {
    communicator_.all_to_all(bytes_of(sent_gradients_), sent, writable_bytes_of(received_gradients_), received);
  } else {
    exchange_narrow_gradients(std::all_of(note.begin(), note.end(), [](double number) { return std::isfinite(number); }));
  }
  byte = 0;
  for (std::size_t rank = 0; rank < ranks_; ++rank) {
    notes_[rank].resize(note.size());
    std::memcpy(notes_[rank].data(), received_gradients_.data() + byte, note.size_bytes());
    byte += received[rank];
  }
}

/// As what is in sent_gradients_, from there into received_gradients_. `must_fit`: else the step fails for another reason, on all ranks, after this.
void ShardedTables::exchange_narrow_gradients(bool must_fit) {
  const auto note_bytes = static_cast<std::int64_t>(note_size_ * sizeof(double));
  const std::vector<std::int64_t> sent = in_bytes(requests_->segment_floats.gradients, kHalf, note_bytes);
  const std::vector<std::int64_t> received = in_bytes(requests_->request_floats.gradients, kHalf, note_bytes);
  sent_narrow_.resize_unspecified(sum_of(sent));
  received_narrow_.resize_unspecified(sum_of(received));
  std::int64_t to = 0;
  for (std::size_t holder = 0; holder < ranks_; ++holder) {
    const std::int64_t floats_before = requests_->segments[at(holder, 0, 0)].gradients;
    const std::int64_t note = note_bytes * static_cast<std::int64_t>(holder) + floats_before * static_cast<std::int64_t>(sizeof(float));
    std::memcpy(sent_narrow_.data() + to, sent_gradients_.data() + note, static_cast<std::size_t>(note_bytes));
    auto* const halves = reinterpret_cast<std::uint16_t*>(sent_narrow_.data() + to + note_bytes);
    auto* const floats = reinterpret_cast<float*>(sent_gradients_.data() + note_bytes * static_cast<std::int64_t>(holder + 1));
    for (std::size_t i = at(holder, 0, 0); i < at(holder + 1, 0, 0); ++i) {
      const RowRequests::Segment& segment = requests_->segments[i];
      const std::size_t t = i % table_count();
      const std::int64_t count = segment.count * columns(t, holder);
      float* const from = floats + segment.gradients;
      for (std::int64_t k = 0; k < count; ++k) from[k] *= gradient_scale_;
      std::uint16_t* const place = halves + (segment.gradients - floats_before);
      if (must_fit) {
        narrow(t, "a gradient", from, count, place);
      } else {
        std::fill_n(place, count, std::uint16_t{0});
      }
    }
    to += sent[holder];
  }
  communicator_.all_to_all(bytes_of(sent_narrow_), sent, writable_bytes_of(received_narrow_), received);
  std::int64_t from = 0;
  std::int64_t byte = 0;
  for (std::size_t rank = 0; rank < ranks_; ++rank) {
    std::memcpy(received_gradients_.data() + byte, received_narrow_.data() + from, static_cast<std::size_t>(note_bytes));
    const std::int64_t count = requests_->request_floats.gradients[rank];
    auto* const floats = reinterpret_cast<float*>(received_gradients_.data() + byte + note_bytes);
    widen_values(wire_, received_narrow_.data() + from + note_bytes, count, floats);
    for (std::int64_t k = 0; k < count; ++k) floats[k] /= gradient_scale_;
    from += received[rank];
    byte += count * static_cast<std::int64_t>(sizeof(float)) + note_bytes;
  }
}

void ShardedTables::update(const EmbeddingEngine::UpdateSettings& settings, bool l2_on_all_rows, ThreadPool& pool) {
  if (held_ == nullptr) return;
  const auto note_bytes = static_cast<std::int64_t>(note_size_ * sizeof(double));
  const std::vector<RowRequests::Request>& requests = requests_->requests;
  std::vector<const float*> gradients;
  for (std::size_t t = 0; t < table_count(); ++t) {
    const std::size_t index = held_index_[t];
    if (index == kNotHeld) continue;
    std::int64_t rows = 0;
    for (std::size_t i = t; i < requests.size(); i += table_count()) rows += requests[i].count;
    held_gradients_[index].resize_unspecified(rows * columns(t, own()));
    float* to = held_gradients_[index].data();
    for (std::size_t i = t; i < requests.size(); i += table_count()) {
      const auto rank = static_cast<std::int64_t>(i / (slices_ * table_count()));
      const std::int64_t byte = note_bytes * (rank + 1) + requests[i].gradients * static_cast<std::int64_t>(sizeof(float));
      const std::int64_t floats = requests[i].count * columns(t, own());
      std::memcpy(to, received_gradients_.data() + byte, static_cast<std::size_t>(floats) * sizeof(float));
      to += floats;
    }
    gradients.push_back(held_gradients_[index].data());
  }
  if (!requests_->held_is_prepared) prepare_held(*requests_, pool);
  held_->update(requests_->held, gradients, settings, pool);
  if (l2_on_all_rows) held_->decay_untouched(requests_->held, settings, pool);
}

}  // namespace rechost
