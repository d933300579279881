#pragma once

#include <cstdint>

namespace rechost {

/// Dot products of a few users with a few items: the innermost piece of top_k() and rank_of(), for one instruction set.
///
/// run(): users [dim, tile.users] and items [dim, tile.items], both packed with the dimension outermost. Writes scores [tile.users,
/// tile.items] and, for each user, the bits of the items whose score is above the user's threshold. Each product is summed over the
/// dimension in ascending order wherever the pair stands in a tile, so a pair has the same bits in every call.
struct ScoreTile {
  std::int64_t users = 0;
  std::int64_t items = 0;
  void (*run)(const float* users, const float* items, std::int64_t dim, const float* thresholds, float* scores, std::uint64_t* above);
};

constexpr std::int64_t kMostTileUsers = 8;
constexpr std::int64_t kMostTileItems = 48;

ScoreTile score_tile_baseline();
ScoreTile score_tile_avx2();
ScoreTile score_tile_avx512();

/// kUsers * kVectors sums stay in registers, next to kVectors items and one user.
template <typename Vector, int kUsers, int kVectors>
void score_tile_loop(const float* users, const float* items, std::int64_t dim, const float* thresholds, float* scores,
                     std::uint64_t* above) {
  constexpr int kWidth = Vector::kWidth;
  static_assert(kUsers <= kMostTileUsers && kVectors * kWidth <= kMostTileItems);
  Vector sums[kUsers][kVectors];
#pragma GCC unroll 8
  for (int u = 0; u < kUsers; ++u) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) sums[u][v] = Vector(0.0f);
  }
  for (std::int64_t d = 0; d < dim; ++d) {
    Vector item[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) item[v] = Vector::load(items + (d * kVectors + v) * kWidth);
#pragma GCC unroll 8
    for (int u = 0; u < kUsers; ++u) {
      const Vector user(users[d * kUsers + u]);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) sums[u][v] = multiply_add(user, item[v], sums[u][v]);
    }
  }
#pragma GCC unroll 8
  for (int u = 0; u < kUsers; ++u) {
    const Vector threshold(thresholds[u]);
    std::uint64_t bits = 0;
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      sums[u][v].store(scores + (u * kVectors + v) * kWidth);
      bits |= std::uint64_t{greater(sums[u][v], threshold)} << (v * kWidth);
    }
    above[u] = bits;
  }
}

template <typename Vector, int kUsers, int kVectors>
ScoreTile score_tile() {
  return {kUsers, kVectors * Vector::kWidth, score_tile_loop<Vector, kUsers, kVectors>};
}

}  // namespace rechost
