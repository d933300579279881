#include "data/value_runs.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>

#include "base/error.h"

namespace rechost {
namespace {

constexpr std::size_t kWriteBytes = std::size_t{1} << 20;
// Of all runs together while they are merged; with very many runs each still reads whole pages.
constexpr std::size_t kReadBytes = std::size_t{32} << 20;
constexpr std::size_t kLeastReadBytes = 4096;
constexpr std::size_t kMostReadBytes = std::size_t{1} << 20;
constexpr std::size_t kLongestVarint = 10;

void put_varint(std::uint64_t number, std::string& out) {
  while (number >= 0x80) {
    out += static_cast<char>(number | 0x80);
    number >>= 7;
  }
  out += static_cast<char>(number);
}

void put_value(std::int64_t value, std::string& out) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  out.append(bytes, sizeof value);
}

void put_value(std::string_view value, std::string& out) {
  put_varint(value.size(), out);
  out += value;
}

/// Walks through one run.
template <typename Value>
class RunReader {
 public:
  RunReader(const TemporaryFile& file, std::uint64_t begin, std::uint64_t end, std::size_t buffer_bytes)
      : file_(file), unread_(begin), end_(end), buffer_(buffer_bytes) {}

  /// False at the end of the run. A string is borrowed until the next call.
  bool next(CountedValue<Value>& entry) {
    want(2 * kLongestVarint + sizeof(std::int64_t));
    if (at_ == filled_) return false;
    read_value(entry.value);
    entry.count = static_cast<std::int64_t>(read_varint());
    entry.number = static_cast<std::int64_t>(read_varint());
    return true;
  }

 private:
  /// So many bytes from at_ on, or all that are left.
  void want(std::size_t count) {
    if (filled_ - at_ >= count || unread_ == end_) return;
    std::memmove(buffer_.data(), buffer_.data() + at_, filled_ - at_);
    filled_ -= at_;
    at_ = 0;
    if (buffer_.size() < count) buffer_.resize(count);
    const auto more = static_cast<std::size_t>(std::min<std::uint64_t>(buffer_.size() - filled_, end_ - unread_));
    file_.read(unread_, buffer_.data() + filled_, more);
    unread_ += more;
    filled_ += more;
  }

  std::uint64_t read_varint() {
    std::uint64_t number = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<unsigned char>(buffer_[at_++]);
      number |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return number;
    }
  }

  void read_value(std::int64_t& value) {
    std::memcpy(&value, buffer_.data() + at_, sizeof value);
    at_ += sizeof value;
  }

  void read_value(std::string_view& value) {
    const auto length = static_cast<std::size_t>(read_varint());
    want(length + 2 * kLongestVarint);
    value = {buffer_.data() + at_, length};
    at_ += length;
  }

  const TemporaryFile& file_;
  std::uint64_t unread_;
  std::uint64_t end_;
  std::vector<char> buffer_;
  std::size_t at_ = 0;
  std::size_t filled_ = 0;
};

}  // namespace

template <typename Value>
void ValueRuns<Value>::add_run(std::span<const CountedValue<Value>> sorted) {
  std::string out;
  out.reserve(kWriteBytes + 64);
  for (const CountedValue<Value>& entry : sorted) {
    put_value(entry.value, out);
    put_varint(static_cast<std::uint64_t>(entry.count), out);
    put_varint(static_cast<std::uint64_t>(entry.number), out);
    if (out.size() < kWriteBytes) continue;
    file_.append(out.data(), out.size());
    out.clear();
  }
  file_.append(out.data(), out.size());
  run_ends_.push_back(file_.size());
}

template <typename Value>
void ValueRuns<Value>::merge(const Take& take) const {
  const std::size_t runs = run_ends_.size();
  const std::size_t buffer = std::clamp(kReadBytes / std::max<std::size_t>(runs, 1), kLeastReadBytes, kMostReadBytes);
  std::vector<RunReader<Value>> readers;
  readers.reserve(runs);
  std::vector<CountedValue<Value>> heads(runs);
  std::vector<std::size_t> heap;  // of runs, the smallest (value, run) first
  const auto later = [&](std::size_t left, std::size_t right) {
    return heads[left].value != heads[right].value ? heads[left].value > heads[right].value : left > right;
  };
  for (std::size_t run = 0; run < runs; ++run) {
    readers.emplace_back(file_, run == 0 ? 0 : run_ends_[run - 1], run_ends_[run], buffer);
    if (readers[run].next(heads[run])) heap.push_back(run);
  }
  std::make_heap(heap.begin(), heap.end(), later);

  std::vector<std::int64_t> numbers;
  std::string kept;  // a string must outlive the buffers of the runs that it came from
  while (!heap.empty()) {
    Value value = heads[heap.front()].value;
    if constexpr (std::is_same_v<Value, std::string_view>) {
      kept.assign(value);
      value = kept;
    }
    std::int64_t count = 0;
    numbers.clear();
    while (!heap.empty() && heads[heap.front()].value == value) {
      const std::size_t run = heap.front();
      count += heads[run].count;
      numbers.push_back(heads[run].number);
      std::pop_heap(heap.begin(), heap.end(), later);
      if (readers[run].next(heads[run])) {
        std::push_heap(heap.begin(), heap.end(), later);
      } else {
        heap.pop_back();
      }
    }
    take(value, count, numbers);
  }
}

template class ValueRuns<std::int64_t>;
template class ValueRuns<std::string_view>;

}  // namespace rechost
