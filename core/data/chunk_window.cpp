#include "data/chunk_window.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace rechost {

struct ChunkWindow::Scratch {
  Scratch(const EncodingPlan& plan, const RowLayout& layout) : encoder(plan, layout) {}
  ChunkEncoder encoder;
  EncodedChunk chunk;
};

ChunkWindow::ChunkWindow(std::shared_ptr<ChunkSource> source, ChunkEncoder::Input input, std::shared_ptr<const EncodingPlan> plan,
                         std::shared_ptr<const Vocabularies> vocabularies, std::vector<std::int64_t> chunk_samples,
                         const Settings& settings)
    : source_(std::move(source)),
      input_(std::move(input)),
      plan_(std::move(plan)),
      vocabularies_(std::move(vocabularies)),
      chunk_samples_(std::move(chunk_samples)),
      settings_(settings),
      layout_(plan_->schema) {
  for (const TableEncoding& table : plan_->tables) table_vocabularies_.push_back(&vocabularies_->at(table.name));
}

ChunkWindow::~ChunkWindow() = default;

std::uint64_t ChunkWindow::memory_bytes() const {
  const std::lock_guard lock(mutex_);
  std::uint64_t bytes = 0;
  for (const Entry& entry : entries_) {
    if (entry.store != nullptr) bytes += entry.store->memory_bytes();
  }
  return bytes;
}

ChunkWindow::Entry* ChunkWindow::find(std::int64_t chunk) {
  for (Entry& entry : entries_) {
    if (entry.chunk == chunk) return &entry;
  }
  return nullptr;
}

std::vector<std::shared_ptr<const RowStore>> ChunkWindow::get(std::span<const std::int64_t> chunks) {
  std::vector<std::shared_ptr<const RowStore>> stores(chunks.size());
  std::unique_lock lock(mutex_);
  // What nobody has begun is decoded here; what others are decoding is waited for afterwards.
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    Entry* const entry = find(chunks[i]);
    if (entry == nullptr) {
      stores[i] = claim_and_decode(chunks[i], lock);
    } else if (!entry->in_work) {
      entry->last_use = ++clock_;
      stores[i] = entry->store;
    }
  }
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    while (stores[i] == nullptr) {
      Entry* const entry = find(chunks[i]);
      if (entry == nullptr) {  // the other one failed, or the chunk was dropped again before we woke up
        stores[i] = claim_and_decode(chunks[i], lock);
      } else if (entry->in_work) {
        decoded_.wait(lock);
      } else {
        entry->last_use = ++clock_;
        stores[i] = entry->store;
      }
    }
  }
  return stores;
}

void ChunkWindow::read_ahead(std::span<const std::int64_t> chunks) {
  std::vector<std::int64_t> absent;
  {
    const std::lock_guard lock(mutex_);
    for (const std::int64_t chunk : chunks) {
      if (find(chunk) == nullptr) absent.push_back(chunk);
    }
  }
  source_->read_ahead(absent);
}

std::shared_ptr<const RowStore> ChunkWindow::claim_and_decode(std::int64_t chunk, std::unique_lock<std::mutex>& lock) {
  entries_.push_back({.chunk = chunk, .in_work = true, .last_use = ++clock_, .store = nullptr});
  lock.unlock();
  std::shared_ptr<const RowStore> store;
  std::exception_ptr failure;
  try {
    store = decode(chunk);
  } catch (...) {
    failure = std::current_exception();
  }
  lock.lock();
  Entry* const entry = find(chunk);
  entry->in_work = false;
  entry->store = store;
  if (failure) entries_.erase(entries_.begin() + (entry - entries_.data()));
  drop_oldest();
  decoded_.notify_all();
  if (failure) std::rethrow_exception(failure);
  return store;
}

std::shared_ptr<const RowStore> ChunkWindow::decode(std::int64_t chunk) {
  std::unique_ptr<Scratch> scratch;
  {
    const std::lock_guard lock(mutex_);
    if (!free_.empty()) {
      scratch = std::move(free_.back());
      free_.pop_back();
    }
  }
  if (scratch == nullptr) scratch = std::make_unique<Scratch>(*plan_, layout_);
  scratch->encoder.encode(input_, chunk, table_vocabularies_, scratch->chunk);
  const std::int64_t expected = chunk_samples_[static_cast<std::size_t>(chunk)];
  const std::int64_t found = std::count(scratch->chunk.split.begin(), scratch->chunk.split.end(), settings_.split);
  if (found != expected) {
    fail<DataError>("{}, chunk {}: {} rows now, {} when the data was checked: it changed in between", settings_.split_name, chunk, found,
                    expected);
  }
  auto store = std::make_shared<RowStore>(layout_, expected);
  store->append(scratch->chunk, settings_.split);
  store->write_records(scratch->chunk, settings_.split, 0);
  const std::lock_guard lock(mutex_);
  free_.push_back(std::move(scratch));
  return store;
}

void ChunkWindow::drop_oldest() {
  for (;;) {
    const auto finished = static_cast<std::size_t>(std::count_if(entries_.begin(), entries_.end(), [](const Entry& entry) { return !entry.in_work; }));
    if (finished <= settings_.kept_chunks) return;
    auto oldest = entries_.end();
    for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
      if (!entry->in_work && (oldest == entries_.end() || entry->last_use < oldest->last_use)) oldest = entry;
    }
    entries_.erase(oldest);
  }
}

}  // namespace rechost
