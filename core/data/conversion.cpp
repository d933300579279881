#include "data/conversion.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "base/error.h"
#include "data/sequential_read_ahead.h"

namespace rechost {

namespace {

/// Rows that make a shard.
struct FullShard {
  std::unique_ptr<ShardRows> rows;
  std::int64_t number = 0;
  std::int64_t first_row = 0;
};

/// Cuts the rows of a split into shards as MDSWriter does: a shard ends before the row with which it would be too large.
class ShardCutter {
 public:
  ShardCutter(const ShardFolder& folder, std::int64_t first_number, std::int64_t first_row)
      : folder_(folder), pending_(folder.no_rows()), number_(first_number), first_row_(first_row) {}

  void add(const ShardRows& rows, std::vector<FullShard>& full) {
    std::int64_t begin = 0;
    std::uint64_t pending_bytes = pending_bytes_;
    for (std::int64_t row = 0; row < rows.rows(); ++row) {
      const std::uint64_t size = rows.size(row, row + 1);
      if (!folder_.holds(1, size)) {
        fail<ConfigError>("sample {} takes {} bytes, which a shard of {} does not hold: allow larger shards", first_row_ + pending_->rows() + row - begin, size,
                          folder_.shard_bytes());
      }
      if (!folder_.holds(pending_->rows() + row - begin + 1, pending_bytes + size)) {
        rows.add_to(*pending_, begin, row);
        begin = row;
        pending_bytes = 0;
        end_shard(full);
      }
      pending_bytes += size;
    }
    rows.add_to(*pending_, begin, rows.rows());
    pending_bytes_ = pending_bytes;
  }

  void finish(std::vector<FullShard>& full) {
    if (pending_->rows() > 0) end_shard(full);
  }

 private:
  void end_shard(std::vector<FullShard>& full) {
    const std::int64_t rows = pending_->rows();
    full.push_back({std::exchange(pending_, folder_.no_rows()), number_++, first_row_});
    first_row_ += rows;
  }

  const ShardFolder& folder_;
  std::unique_ptr<ShardRows> pending_;
  std::uint64_t pending_bytes_ = 0;
  std::int64_t number_, first_row_;  // of the pending shard
};

/// The threads of one conversion. Each looks for the piece of work that is nearest to the end: a shard to be written, rows to be cut, a chunk
/// to be read. Cutting alone has an order; it is done by one thread at a time.
class Conversion {
 public:
  Conversion(ChunkSource& source, const ShardFolder& folder, int threads, const ConversionProgress& progress)
      : source_(source), folder_(folder), most_(static_cast<std::size_t>(threads) + 1), progress_(progress), shards_(progress.kept),
        cutter_(folder, static_cast<std::int64_t>(shards_.size()), rows_kept()) {
    for (std::uint32_t i = 0; i < source.columns().size(); ++i) wanted_.push_back(i);
    // The chunk in which the first row lies that is still to be written.
    const std::int64_t kept = rows_kept();
    for (; next_chunk_ < source.chunk_count() && next_row_ + source.chunk_rows(next_chunk_) <= kept; ++next_chunk_) next_row_ += source.chunk_rows(next_chunk_);
    skipped_ = kept - next_row_;
    next_cut_ = next_chunk_;
    std::vector<std::int64_t> ahead;
    for (std::int64_t chunk = next_chunk_; chunk < source.chunk_count(); ++chunk) ahead.push_back(chunk);
    source.read_ahead(ahead);
  }

  std::vector<Shard> run(int threads) {
    std::vector<std::thread> others;
    for (int i = 1; i < threads; ++i) others.emplace_back([this] { work(); });
    work();
    for (std::thread& thread : others) thread.join();
    if (failure_) std::rethrow_exception(failure_);
    std::sort(shards_.begin(), shards_.end(), [](const Shard& left, const Shard& right) { return left.number < right.number; });
    return std::move(shards_);
  }

 private:
  std::int64_t rows_kept() const { return shards_.empty() ? 0 : shards_.back().first_row + shards_.back().rows; }

  void work() {
    std::unique_lock lock(mutex_);
    try {
      while (!failure_ && !done()) {
        if (!step(lock)) changed_.wait(lock);
      }
    } catch (...) {
      if (!lock.owns_lock()) lock.lock();
      if (!failure_) failure_ = std::current_exception();
    }
    changed_.notify_all();
  }

  bool done() const { return cut_all_ && full_.empty() && writing_ == 0; }

  /// Does one piece of work, without the lock; false when there is none now.
  bool step(std::unique_lock<std::mutex>& lock) {
    if (!full_.empty()) return write_shard(lock), true;
    if (!cutting_ && !cut_all_ && full_.size() + writing_ < most_) {
      if (const auto next = encoded_.find(next_cut_); next != encoded_.end() || next_cut_ == source_.chunk_count()) return cut(lock), true;
    }
    if (next_chunk_ < source_.chunk_count() && static_cast<std::size_t>(next_chunk_ - next_cut_) < most_) return read_chunk(lock), true;
    return false;
  }

  void write_shard(std::unique_lock<std::mutex>& lock) {
    FullShard shard = std::move(full_.front());
    full_.pop_front();
    ++writing_;
    lock.unlock();
    Shard written = folder_.write(*shard.rows, shard.number, shard.first_row);
    shard.rows = nullptr;  // before others may think that there is room
    lock.lock();
    --writing_;
    if (progress_.finished) progress_.finished(written);
    shards_.push_back(std::move(written));
    changed_.notify_all();
  }

  void cut(std::unique_lock<std::mutex>& lock) {
    cutting_ = true;
    const bool last = next_cut_ == source_.chunk_count();
    std::unique_ptr<ShardRows> rows;
    if (!last) rows = std::move(encoded_.extract(next_cut_).mapped());
    lock.unlock();
    std::vector<FullShard> full;
    last ? cutter_.finish(full) : cutter_.add(*rows, full);
    rows = nullptr;
    lock.lock();
    for (FullShard& shard : full) full_.push_back(std::move(shard));
    cutting_ = false;
    last ? static_cast<void>(cut_all_ = true) : static_cast<void>(++next_cut_);
    changed_.notify_all();
  }

  void read_chunk(std::unique_lock<std::mutex>& lock) {
    const std::int64_t chunk = next_chunk_++, first_row = next_row_, begin = std::exchange(skipped_, 0);
    next_row_ += source_.chunk_rows(chunk);
    lock.unlock();
    read_ahead_.begin(chunk);
    std::shared_ptr<const ChunkData> data = source_.read(chunk, wanted_, [](BadRow&& row) { fail<DataError>("{}:{}: {}: {}", row.source, row.line, row.column, row.reason); });
    std::unique_ptr<ShardRows> rows = folder_.rows_of(source_, std::move(data), first_row, begin);
    lock.lock();
    encoded_.emplace(chunk, std::move(rows));
    changed_.notify_all();
  }

  ChunkSource& source_;
  const ShardFolder& folder_;
  const std::size_t most_;  // chunks and shards at once
  const ConversionProgress& progress_;
  std::vector<std::uint32_t> wanted_;
  SequentialReadAhead read_ahead_{source_, source_.chunk_count()};

  std::mutex mutex_;  // of all that follows; but the cutter belongs to the thread that cuts
  std::condition_variable changed_;
  std::vector<Shard> shards_;
  ShardCutter cutter_;
  std::int64_t next_chunk_ = 0, next_row_ = 0;  // to be read, and the row of the split with which it begins
  std::int64_t skipped_ = 0;                    // rows of the first chunk that are written already
  std::int64_t next_cut_ = 0;                   // chunk; all before it are cut
  std::map<std::int64_t, std::unique_ptr<ShardRows>> encoded_;     // chunk -> its rows, until they are cut
  std::deque<FullShard> full_;
  std::size_t writing_ = 0;
  bool cutting_ = false, cut_all_ = false;
  std::exception_ptr failure_;
};

}  // namespace

std::vector<Shard> convert(ChunkSource& source, const ShardFolder& folder, int threads, const ConversionProgress& progress) {
  folder.make();
  std::vector<Shard> shards = Conversion(source, folder, threads, progress).run(threads);
  folder.finish(shards);
  return shards;
}

}  // namespace rechost
