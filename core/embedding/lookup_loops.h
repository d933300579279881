#pragma once

#include <algorithm>
#include <cstdint>

#include "base/cache_line.h"
#include "kernels/row_precision.h"

namespace rechost {

/// Bags of rows, and where the sum of each goes: some neighbouring lookups of a block for some samples, sample after sample. Rows come from all over
/// memory, sums go one behind the other. Borrowed.
struct LookupJob {
  const float* const* rows = nullptr;  ///< of all bags, one after another
  std::int64_t row_count = 0;
  const std::int32_t* bag_ends = nullptr;  ///< [bags]: into `rows`; null: each bag has exactly one row, which is copied
  const float* weights = nullptr;          ///< [row_count], or null for all 1; only with bag_ends
  const float* scales = nullptr;           ///< [bags]: what sums are multiplied by, or null for all 1; only with bag_ends
  RowPrecision precision = RowPrecision::kFp32;
  bool on_lines = false;  ///< whether every row begins on a cache line
  std::int64_t dim = 0;
  std::int64_t bags = 0;
  std::int64_t bags_together = 1;  ///< of one sample, whose outputs are neighbours
  float* output = nullptr;
  std::int64_t output_stride = 0;  ///< floats from one sample's outputs to the next one's
  std::int64_t rows_ahead = 16;    ///< between the row that is read and the one that is asked for
};

using LookupFunction = void (*)(const LookupJob& job);

/// The loop for rows of `precision` made for `dim`, or the one for any dim.
LookupFunction lookup_baseline(RowPrecision precision, std::int64_t dim);
LookupFunction lookup_avx2(RowPrecision precision, std::int64_t dim);
LookupFunction lookup_avx512(RowPrecision precision, std::int64_t dim);

/// Asks for rows [first, last) of a job; `floats`: what the values of one take.
[[gnu::always_inline]] inline void prefetch_rows(const LookupJob& job, std::int64_t first, std::int64_t last, std::int64_t floats) {
  for (std::int64_t i = first; i < last; ++i) {
    const float* const row = job.rows[i];
    for (std::int64_t f = 0; f < floats; f += kFloatsPerLine) __builtin_prefetch(row + f, 0, 3);
    // A row that does not begin on a line reaches into one more.
    if (!job.on_lines) __builtin_prefetch(row + floats - 1, 0, 3);
  }
}

/// The values of one row, as float32.
template <typename Vector, typename Element>
struct RowValues {
  [[gnu::always_inline]] RowValues(const float* row, std::int64_t /*dim*/) : values(reinterpret_cast<const Element*>(row)) {}
  static constexpr std::int64_t floats(std::int64_t dim) { return floats_of_values(sizeof(Element), dim); }
  [[gnu::always_inline]] Vector load_first(std::int64_t column, std::int64_t count) const { return Vector::load_first(values + column, count); }

  const Element* values;
};

template <typename Vector>
struct RowValues<Vector, Int8> {
  [[gnu::always_inline]] RowValues(const float* row, std::int64_t dim)
      : values(reinterpret_cast<const Int8*>(row)), step(row[floats_of_values(sizeof(Int8), dim)]), least(row[floats_of_values(sizeof(Int8), dim) + 1]) {}
  static constexpr std::int64_t floats(std::int64_t dim) { return floats_of_values(sizeof(Int8), dim) + Int8::kRowFloats; }
  [[gnu::always_inline]] Vector load_first(std::int64_t column, std::int64_t count) const {
    return multiply_add(Vector::load_first(values + column, count), step, least);
  }

  const Int8* values;
  Vector step;
  Vector least;
};

/// The sum of rows [first, last), each times its weight if kWeighted, times `scale`. `kDim` as in lookup_loop().
template <typename Vector, typename Element, int kDim, bool kWeighted>
[[gnu::always_inline]] inline void sum_bag(const LookupJob& job, std::int64_t first, std::int64_t last, float scale, float* output) {
  constexpr std::int64_t kWidth = Vector::kWidth;
  // Vectors that a bag is summed in: for a known dim all of it, else so many columns at a time.
  constexpr std::int64_t kSums = kDim > 0 ? (kDim + kWidth - 1) / kWidth : 4;
  const std::int64_t dim = kDim > 0 ? kDim : job.dim;
  const std::int64_t last_ahead = job.row_count - job.rows_ahead;
  for (std::int64_t block = 0; block < dim; block += kSums * kWidth) {
    Vector sums[kSums];
    for (std::int64_t v = 0; v < kSums; ++v) sums[v] = Vector(0.0f);
    const std::int64_t rest = dim - block;
    for (std::int64_t i = first; i < last; ++i) {
      if (block == 0 && i < last_ahead) prefetch_rows(job, i + job.rows_ahead, i + job.rows_ahead + 1, RowValues<Vector, Element>::floats(dim));
      const RowValues<Vector, Element> row(job.rows[i], dim);
      const Vector weight(kWeighted ? job.weights[i] : 1.0f);
      for (std::int64_t v = 0; v < kSums; ++v) {
        if (kDim == 0 && v * kWidth >= rest) continue;
        const Vector values = row.load_first(block + v * kWidth, rest - v * kWidth);
        sums[v] = kWeighted ? multiply_add(values, weight, sums[v]) : sums[v] + values;
      }
    }
    for (std::int64_t v = 0; v < kSums; ++v) {
      if (kDim > 0 || v * kWidth < rest) (sums[v] * Vector(scale)).store_first(output + block + v * kWidth, rest - v * kWidth);
    }
  }
}

/// Where the outputs of the bags of a job go, one after another.
class OutputPlaces {
 public:
  [[gnu::always_inline]] OutputPlaces(const LookupJob& job, std::int64_t dim)
      : output_(job.output), together_(job.bags_together), dim_(dim), gap_(job.output_stride - job.bags_together * dim) {}

  [[gnu::always_inline]] float* next() {
    float* const place = output_;
    output_ += dim_;
    if (++in_sample_ == together_) {
      in_sample_ = 0;
      output_ += gap_;
    }
    return place;
  }

 private:
  float* output_;
  std::int64_t together_;
  std::int64_t dim_;
  std::int64_t gap_;
  std::int64_t in_sample_ = 0;
};

/// Bags of exactly one row. Rows are asked for a group at a time, by as few instructions as possible: a processor that has to look up the page of
/// a row keeps what follows waiting in its queue, and the fewer instructions come between two rows, the more of them it waits for side by side.
template <typename Vector, typename Element, int kDim>
[[gnu::always_inline]] inline void copy_rows(const LookupJob& job) {
  const std::int64_t dim = kDim > 0 ? kDim : job.dim;
  const std::int64_t floats = RowValues<Vector, Element>::floats(dim);
  OutputPlaces outputs(job, dim);
  prefetch_rows(job, 0, std::min(job.rows_ahead, job.row_count), floats);
  for (std::int64_t begin = 0; begin < job.row_count; begin += job.rows_ahead) {
    const std::int64_t end = std::min(begin + job.rows_ahead, job.row_count);
    prefetch_rows(job, end, std::min(end + job.rows_ahead, job.row_count), floats);
    for (std::int64_t i = begin; i < end; ++i) {
      const RowValues<Vector, Element> row(job.rows[i], dim);
      float* const output = outputs.next();
      for (std::int64_t column = 0; column < dim; column += Vector::kWidth) row.load_first(column, dim - column).store_first(output + column, dim - column);
    }
  }
}

template <typename Vector, typename Element, int kDim, bool kWeighted>
[[gnu::always_inline]] inline void sum_bags(const LookupJob& job) {
  const std::int64_t dim = kDim > 0 ? kDim : job.dim;
  OutputPlaces outputs(job, dim);
  prefetch_rows(job, 0, std::min(job.rows_ahead, job.row_count), RowValues<Vector, Element>::floats(dim));
  std::int64_t first = 0;
  for (std::int64_t bag = 0; bag < job.bags; ++bag) {
    const std::int64_t last = job.bag_ends[bag];
    sum_bag<Vector, Element, kDim, kWeighted>(job, first, last, job.scales == nullptr ? 1.0f : job.scales[bag], outputs.next());
    first = last;
  }
}

/// Rows and bags of `kDim` values (0: job.dim, known only at run time), each an `Element` in the table and a float in the output.
template <typename Vector, typename Element, int kDim>
void lookup_loop(const LookupJob& from) {
  const LookupJob job = from;  // a copy of its own cannot change when outputs are written, so it stays in registers
  if (job.bag_ends == nullptr) return copy_rows<Vector, Element, kDim>(job);
  if (job.weights == nullptr) return sum_bags<Vector, Element, kDim, false>(job);
  sum_bags<Vector, Element, kDim, true>(job);
}

template <typename Vector, typename Element>
LookupFunction lookup_function_of(std::int64_t dim) {
  switch (dim) {
    case 4:
      return lookup_loop<Vector, Element, 4>;
    case 8:
      return lookup_loop<Vector, Element, 8>;
    case 16:
      return lookup_loop<Vector, Element, 16>;
    case 32:
      return lookup_loop<Vector, Element, 32>;
    case 64:
      return lookup_loop<Vector, Element, 64>;
    case 128:
      return lookup_loop<Vector, Element, 128>;
    default:
      return lookup_loop<Vector, Element, 0>;
  }
}

template <typename Vector>
LookupFunction lookup_function(RowPrecision precision, std::int64_t dim) {
  switch (precision) {
    case RowPrecision::kFp32:
      return lookup_function_of<Vector, float>(dim);
    case RowPrecision::kFp16:
      return lookup_function_of<Vector, Fp16>(dim);
    case RowPrecision::kBf16:
      return lookup_function_of<Vector, Bf16>(dim);
    case RowPrecision::kInt8:
      return lookup_function_of<Vector, Int8>(dim);
  }
  return nullptr;
}

}  // namespace rechost
