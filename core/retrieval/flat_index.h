#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/top_k.h"

namespace rechost {

/// What a search found for each query, best first. Where fewer than k are left: -1 and minus infinity.
struct SearchResult {
  std::int64_t k = 0;
  std::vector<std::int32_t> positions;  ///< [queries, k] in the index
  std::vector<float> scores;            ///< [queries, k] inner products
};

/// Vectors that are searched exactly, by inner product. Owns them; immutable. Any thread.
class FlatIndex {
 public:
  /// `vectors` [count, dim], row-major. Throws Error when they are not a multiple of `dim`.
  FlatIndex(std::vector<float> vectors, std::int64_t dim);

  /// Reads a file of write_faiss_flat_index(), or of FAISS's IndexFlatIP. Throws DataError that says what is wrong with the file.
  static FlatIndex read_faiss(const std::filesystem::path& path);

  std::int64_t count() const { return count_; }
  std::int64_t dim() const { return dim_; }
  VectorsView view() const { return {vectors_.data(), count_, dim_}; }

  /// The k best of each query; `excluded` lists positions, ascending per query, that must not be found. k is cut to count().
  SearchResult search(const VectorsView& queries, std::int64_t k, const ItemLists& excluded, ThreadPool& pool) const;

 private:
  std::vector<float> vectors_;
  std::int64_t count_ = 0;
  std::int64_t dim_ = 0;
};

}  // namespace rechost
