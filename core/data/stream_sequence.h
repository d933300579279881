#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace rechost {

enum class Shuffle {
  kFull,    ///< a permutation of all samples
  kChunk,   ///< chunks in permuted order; the samples of each few neighbours in that order are permuted together
  kBuffer,  ///< in the order of the files, but each sample moved by up to a window
  kNone,    ///< sample 0, 1, 2, ...
  kMosaic,  ///< as MosaicML's StreamingDataset, see MosaicOrder
};

/// "full" | "chunk" | "buffer" | "none" | "mosaic"; ConfigError otherwise.
Shuffle parse_shuffle(std::string_view text);

/// The samples of one stream in the order of one of rechost's own shuffles, pass after pass. A pure function of (seed, epoch, pass, place).
class StreamSequence {
 public:
  struct Settings {
    Shuffle shuffle = Shuffle::kFull;  ///< not kMosaic
    std::uint64_t seed = 1;
    std::int64_t window_samples = 65536;  ///< kBuffer: no sample is this far from its place
    std::int64_t window_chunks = 8;       ///< kChunk
  };

  /// `chunk_samples[c]` samples of chunk c are numbered in a row, chunk after chunk.
  StreamSequence(const Settings& settings, const std::vector<std::int64_t>& chunk_samples);

  std::int64_t samples() const { return chunk_begin_.back(); }

  /// Writes the samples at places [begin, end) of an epoch in which the stream comes `choose` times or samples in all: place k is in pass
  /// k / samples(). A last pass that is not whole has other samples in each epoch, except under kNone. Any thread.
  void fill(std::int64_t epoch, std::int64_t choose, std::int64_t begin, std::int64_t end, std::int64_t* samples) const;

 private:
  struct Chunks;  // permuted, of one pass
  struct Cache;

  void fill_pass(std::uint64_t pass_key, std::int64_t begin, std::int64_t end, std::int64_t* samples) const;
  void fill_by_chunk(std::uint64_t pass_key, std::int64_t begin, std::int64_t end, std::int64_t* samples) const;
  void fill_by_buffer(std::uint64_t pass_key, std::int64_t begin, std::int64_t end, std::int64_t* samples) const;
  std::shared_ptr<const Chunks> chunks_of(std::uint64_t pass_key) const;

  Settings settings_;
  std::vector<std::int64_t> chunk_begin_;  ///< [chunks + 1]
  std::shared_ptr<Cache> cache_;           ///< shared by copies: it holds nothing but what can be computed again
};

}  // namespace rechost
