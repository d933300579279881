#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "data/chunk_encoder.h"
#include "data/row_store.h"

namespace rechost {

/// Chunks of a split that does not stay in memory: decoded when asked for, the last few kept. Any thread; threads that want different chunks
/// decode side by side, threads that want the same wait for one.
class ChunkWindow {
 public:
  struct Settings {
    std::string split_name;       ///< for messages
    std::uint8_t split = 0;       ///< which rows of a chunk
    std::size_t kept_chunks = 1;  ///< besides those that somebody is reading right now
  };

  /// `input`'s source outlives the window by `source`. `chunk_samples`: what each chunk had when it was first read.
  ChunkWindow(std::shared_ptr<ChunkSource> source, ChunkEncoder::Input input, std::shared_ptr<const EncodingPlan> plan,
              std::shared_ptr<const Vocabularies> vocabularies, std::vector<std::int64_t> chunk_samples, const Settings& settings);
  ~ChunkWindow();

  const RowLayout& layout() const { return layout_; }
  std::uint64_t memory_bytes() const;

  /// stores[i] holds the rows of chunks[i]; `chunks` has no chunk twice. Throws what reading throws, and DataError when a chunk no longer has
  /// the rows that it had.
  std::vector<std::shared_ptr<const RowStore>> get(std::span<const std::int64_t> chunks);

  /// These chunks are asked for next, in this order. Does not wait.
  void read_ahead(std::span<const std::int64_t> chunks);
  bool remote() const { return source_->remote(); }

 private:
  struct Entry {
    std::int64_t chunk = -1;
    bool in_work = false;
    std::uint64_t last_use = 0;
    std::shared_ptr<const RowStore> store;
  };
  struct Scratch;

  Entry* find(std::int64_t chunk);
  std::shared_ptr<const RowStore> claim_and_decode(std::int64_t chunk, std::unique_lock<std::mutex>& lock);
  std::shared_ptr<const RowStore> decode(std::int64_t chunk);
  void drop_oldest();

  std::shared_ptr<ChunkSource> source_;
  ChunkEncoder::Input input_;
  std::shared_ptr<const EncodingPlan> plan_;
  std::shared_ptr<const Vocabularies> vocabularies_;
  std::vector<const Vocabulary*> table_vocabularies_;  ///< by table of the plan
  std::vector<std::int64_t> chunk_samples_;
  Settings settings_;
  RowLayout layout_;

  mutable std::mutex mutex_;
  std::condition_variable decoded_;
  std::vector<Entry> entries_;
  std::uint64_t clock_ = 0;
  std::vector<std::unique_ptr<Scratch>> free_;
};

}  // namespace rechost
