#pragma once

#include <cstdint>

#include "kernels/row_precision.h"

namespace rechost {

/// Some samples of one lookup. Borrowed.
struct LookupJob {
  const float* table = nullptr;  ///< first row
  RowPrecision precision = RowPrecision::kFp32;  ///< of the values in it
  std::int64_t stride = 0;       ///< floats from one table row to the next
  std::int64_t dim = 0;
  const std::int32_t* ids = nullptr;      ///< all ids of the column
  std::int64_t ids_end = 0;               ///< how many of them may be read ahead
  const std::int64_t* offsets = nullptr;  ///< of the column; null: sample i has exactly ids[i]
  const float* weights = nullptr;         ///< of all ids of the column; null: all 1
  bool mean = false;
  std::int64_t begin = 0;  ///< samples [begin, end)
  std::int64_t end = 0;
  float* output = nullptr;           ///< where sample 0 of the column would go
  std::int64_t output_stride = 0;    ///< floats from one sample's output to the next one's
  std::int64_t prefetch_ahead = 16;  ///< ids between the row being read and the one asked for
};

using LookupFunction = void (*)(const LookupJob& job);

/// The loop for rows of `precision` made for `dim`, or the one for any dim.
LookupFunction lookup_baseline(RowPrecision precision, std::int64_t dim);
LookupFunction lookup_avx2(RowPrecision precision, std::int64_t dim);
LookupFunction lookup_avx512(RowPrecision precision, std::int64_t dim);

/// Asks for a row's cache lines. Costs nothing where they are there already.
[[gnu::always_inline]] inline void prefetch_row(const float* row, std::int64_t floats) {
  constexpr std::int64_t kFloatsPerLine = 16;
  for (std::int64_t i = 0; i < floats; i += kFloatsPerLine) __builtin_prefetch(row + i, 0, 3);
  // A row that does not begin on a line reaches into one more.
  __builtin_prefetch(row + floats - 1, 0, 3);
}

/// The values of one row, as float32.
template <typename Vector, typename Element>
struct RowValues {
  [[gnu::always_inline]] RowValues(const float* row, std::int64_t /*dim*/) : values(reinterpret_cast<const Element*>(row)) {}
  [[gnu::always_inline]] Vector load_first(std::int64_t column, std::int64_t count) const { return Vector::load_first(values + column, count); }

  const Element* values;
};

template <typename Vector>
struct RowValues<Vector, Int8> {
  [[gnu::always_inline]] RowValues(const float* row, std::int64_t dim)
      : values(reinterpret_cast<const Int8*>(row)), step(row[floats_of_values(sizeof(Int8), dim)]), least(row[floats_of_values(sizeof(Int8), dim) + 1]) {}
  [[gnu::always_inline]] Vector load_first(std::int64_t column, std::int64_t count) const {
    return multiply_add(Vector::load_first(values + column, count), step, least);
  }

  const Int8* values;
  Vector step;
  Vector least;
};

/// The sum of the rows of ids [first, last), each times its weight if kWeighted, times `scale`. `kDim` as in lookup_loop().
template <typename Vector, typename Element, int kDim, bool kWeighted>
[[gnu::always_inline]] inline void sum_bag(const LookupJob& job, std::int64_t first, std::int64_t last, const Vector& scale, float* output) {
  constexpr std::int64_t kWidth = Vector::kWidth;
  // Vectors that a bag is summed in: for a known dim all of it, else so many columns at a time.
  constexpr std::int64_t kSums = kDim > 0 ? (kDim + kWidth - 1) / kWidth : 4;
  const std::int64_t dim = kDim > 0 ? kDim : job.dim;
  for (std::int64_t block = 0; block < dim; block += kSums * kWidth) {
    Vector sums[kSums];
    for (std::int64_t v = 0; v < kSums; ++v) sums[v] = Vector(0.0f);
    const std::int64_t rest = dim - block;
    for (std::int64_t i = first; i < last; ++i) {
      const RowValues<Vector, Element> row(job.table + job.ids[i] * job.stride, dim);
      const Vector weight(kWeighted ? job.weights[i] : 1.0f);
      for (std::int64_t v = 0; v < kSums; ++v) {
        if (kDim == 0 && v * kWidth >= rest) continue;
        const Vector values = row.load_first(block + v * kWidth, rest - v * kWidth);
        sums[v] = kWeighted ? multiply_add(values, weight, sums[v]) : sums[v] + values;
      }
    }
    for (std::int64_t v = 0; v < kSums; ++v) {
      if (kDim > 0 || v * kWidth < rest) (sums[v] * scale).store_first(output + block + v * kWidth, rest - v * kWidth);
    }
  }
}

/// Rows and bags of `kDim` values (0: job.dim, known only at run time), each an `Element` in the table and a float in the output.
template <typename Vector, typename Element, int kDim>
void lookup_loop(const LookupJob& job) {
  constexpr std::int64_t kWidth = Vector::kWidth;
  const std::int64_t dim = kDim > 0 ? kDim : job.dim;
  constexpr std::int64_t kOutputsAhead = 6;
  const std::int64_t last_ahead = job.ids_end - job.prefetch_ahead;
  const std::int64_t row_floats = row_value_floats(job.precision, dim);

  for (std::int64_t sample = job.begin; sample < job.end; ++sample) {
    const std::int64_t first = job.offsets == nullptr ? sample : job.offsets[sample];
    const std::int64_t last = job.offsets == nullptr ? sample + 1 : job.offsets[sample + 1];
    float* output = job.output + sample * job.output_stride;
    // Outputs of one lookup lie far apart, so the processor does not foresee the lines that they need either.
    if (sample + kOutputsAhead < job.end) {
      for (std::int64_t i = 0; i < dim; i += 16) __builtin_prefetch(output + kOutputsAhead * job.output_stride + i, 1, 3);
    }
    for (std::int64_t i = first; i < last; ++i) {
      if (i < last_ahead) prefetch_row(job.table + job.ids[i + job.prefetch_ahead] * job.stride, row_floats);
    }
    if (last - first == 1 && job.weights == nullptr) {
      const RowValues<Vector, Element> row(job.table + job.ids[first] * job.stride, dim);
      for (std::int64_t column = 0; column < dim; column += kWidth) row.load_first(column, dim - column).store_first(output + column, dim - column);
      continue;
    }
    const Vector scale(job.mean && last > first ? 1.0f / static_cast<float>(last - first) : 1.0f);
    if (job.weights == nullptr) {
      sum_bag<Vector, Element, kDim, false>(job, first, last, scale, output);
    } else {
      sum_bag<Vector, Element, kDim, true>(job, first, last, scale, output);
    }
  }
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
