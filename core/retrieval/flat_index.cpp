#include "retrieval/flat_index.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "retrieval/faiss_format.h"

namespace rechost {

FlatIndex::FlatIndex(std::vector<float> vectors, std::int64_t dim) : vectors_(std::move(vectors)), dim_(dim) {
  if (dim <= 0 || static_cast<std::int64_t>(vectors_.size()) % dim != 0) {
    fail("{} floats are no vectors of dimension {}", vectors_.size(), dim);
  }
  count_ = static_cast<std::int64_t>(vectors_.size()) / dim;
}

FlatIndex FlatIndex::read_faiss(const std::filesystem::path& path) {
  const std::string bytes = read_file(path);
  if (bytes.size() < kFaissHeaderBytes) fail<DataError>("{}: {} bytes are too few for an index", path.string(), bytes.size());
  if (bytes.compare(0, kFaissFlatInnerProduct.size(), kFaissFlatInnerProduct) != 0) {
    fail<DataError>("{}: not a flat FAISS index for the inner product; it begins with \"{}\"", path.string(), bytes.substr(0, 4));
  }
  std::size_t position = kFaissFlatInnerProduct.size();
  const auto take = [&](auto& number) {
    std::memcpy(&number, bytes.data() + position, sizeof(number));
    position += sizeof(number);
  };
  std::int32_t dim = 0;
  std::int64_t count = 0;
  std::int64_t unused = 0;
  std::uint8_t trained = 0;
  std::int32_t metric = 0;
  std::uint64_t floats = 0;
  take(dim);
  take(count);
  take(unused);
  take(unused);
  take(trained);
  take(metric);
  take(floats);
  if (metric != kFaissInnerProduct) fail<DataError>("{}: metric {}; only the inner product (0) is read", path.string(), metric);
  const std::uint64_t there = (bytes.size() - position) / sizeof(float);
  if (dim <= 0 || count < 0 || floats != there || floats / static_cast<std::uint64_t>(dim) != static_cast<std::uint64_t>(count) ||
      floats % static_cast<std::uint64_t>(dim) != 0 || (bytes.size() - position) % sizeof(float) != 0) {
    fail<DataError>("{}: says {} vectors of dimension {} in {} floats, and has {}: the file is damaged", path.string(), count, dim, floats,
                    there);
  }
  std::vector<float> vectors(floats);
  // memcpy's pointers must not be null, not even for no bytes.
  if (!vectors.empty()) std::memcpy(vectors.data(), bytes.data() + position, floats * sizeof(float));
  return FlatIndex(std::move(vectors), dim);
}

SearchResult FlatIndex::search(const VectorsView& queries, std::int64_t k, const ItemLists& excluded, ThreadPool& pool) const {
  SearchResult result;
  result.k = std::min(k, count_);
  result.positions.resize(static_cast<std::size_t>(queries.count * result.k));
  result.scores.resize(result.positions.size());
  if (!result.positions.empty()) {
    top_k(queries, view(), result.k, excluded, result.positions.data(), result.scores.data(), pool);
  }
  return result;
}

}  // namespace rechost
