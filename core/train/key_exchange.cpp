#include "train/key_exchange.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace rechost {
namespace {

void append(KeyCounts& to, std::int64_t key, std::int64_t count) {
  to.keys.push_back(key);
  to.counts.push_back(count);
}

KeyCounts sum_of(const KeyCounts& left, const KeyCounts& right) {
  KeyCounts sum;
  sum.keys.reserve(left.keys.size() + right.keys.size());
  sum.counts.reserve(sum.keys.capacity());
  std::size_t i = 0;
  std::size_t j = 0;
  while (i < left.keys.size() && j < right.keys.size()) {
    if (left.keys[i] < right.keys[j]) {
      append(sum, left.keys[i], left.counts[i]);
      ++i;
    } else if (right.keys[j] < left.keys[i]) {
      append(sum, right.keys[j], right.counts[j]);
      ++j;
    } else {
      append(sum, left.keys[i], left.counts[i] + right.counts[j]);
      ++i;
      ++j;
    }
  }
  for (; i < left.keys.size(); ++i) append(sum, left.keys[i], left.counts[i]);
  for (; j < right.keys.size(); ++j) append(sum, right.keys[j], right.counts[j]);
  return sum;
}

/// Each level of the tree of sums looks at every key once.
KeyCounts sum_of(std::vector<KeyCounts> parts) {
  while (parts.size() > 1) {
    std::vector<KeyCounts> sums;
    for (std::size_t i = 0; i + 1 < parts.size(); i += 2) sums.push_back(sum_of(parts[i], parts[i + 1]));
    if (parts.size() % 2 != 0) sums.push_back(std::move(parts.back()));
    parts = std::move(sums);
  }
  return std::move(parts.front());
}

/// Reads a packet: the step, then for each table the number of its keys, the keys, their counts.
class PacketReader {
 public:
  explicit PacketReader(std::span<const std::byte> packet) : rest_(packet) {}

  std::int64_t next_number() {
    std::vector<std::int64_t> number;
    take(1, number);
    return number.front();
  }

  KeyCounts next_table() {
    KeyCounts counts;
    const std::int64_t size = next_number();
    take(size, counts.keys);
    take(size, counts.counts);
    return counts;
  }

 private:
  void take(std::int64_t count, std::vector<std::int64_t>& to) {
    const auto numbers = static_cast<std::size_t>(count);
    if (count < 0 || rest_.size() / sizeof(std::int64_t) < numbers) fail<CommError>("a packet of keys ends before its {} numbers", count);
    to.resize(numbers);
    if (numbers > 0) std::memcpy(to.data(), rest_.data(), numbers * sizeof(std::int64_t));
    rest_ = rest_.subspan(numbers * sizeof(std::int64_t));
  }

  std::span<const std::byte> rest_;
};

}  // namespace

void KeyExchange::add_up(std::int64_t step, std::span<const KeyCounts* const> parts, std::span<KeyCounts> wholes) {
  // Other ranks would take the keys of this batch for those of the one that failed here.
  if (last_step_ != 0 && step != last_step_ + 1) fail<CommError>("step {}: its keys cannot be told to other ranks, who wait for those of step {}", step, last_step_ + 1);
  packet_.assign(1, step);
  for (const KeyCounts* const part : parts) {
    packet_.push_back(static_cast<std::int64_t>(part->keys.size()));
    packet_.insert(packet_.end(), part->keys.begin(), part->keys.end());
    packet_.insert(packet_.end(), part->counts.begin(), part->counts.end());
  }
  const std::vector<std::vector<std::byte>> packets = gather_packets(ranks_, std::as_bytes(std::span(packet_)));
  std::vector<PacketReader> readers(packets.begin(), packets.end());
  // The first batch of all may be the one that failed, which then only the others can know.
  for (std::size_t rank = 0; rank < readers.size(); ++rank) {
    const std::int64_t theirs = readers[rank].next_number();
    if (theirs != step) fail<CommError>("rank {} has the keys of step {} where this one has those of step {}: a batch before could not be prepared", rank, theirs, step);
  }
  for (KeyCounts& whole : wholes) {
    std::vector<KeyCounts> of_ranks;
    for (PacketReader& reader : readers) of_ranks.push_back(reader.next_table());
    whole = sum_of(std::move(of_ranks));
  }
  last_step_ = step;
}

}  // namespace rechost
