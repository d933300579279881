#pragma once

#include <algorithm>
#include <cstdint>

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
  std::int64_t rows_at_once = 8;   ///< that are asked for together, while as many before them are read
};

using LookupFunction = void (*)(const LookupJob& job);

/// The loop for rows of `precision` made for `dim`, or the one for any dim.
LookupFunction lookup_baseline(RowPrecision precision, std::int64_t dim);
LookupFunction lookup_avx2(RowPrecision precision, std::int64_t dim);
LookupFunction lookup_avx512(RowPrecision precision, std::int64_t dim);

/// Asks for the rows of a job before they are read: some at once, by as few instructions as possible. A processor that has to look up the page of
/// a row keeps what follows waiting in its queue, and the fewer instructions come between two rows, the more of them it waits for side by side.
class RowsAhead {
 public:
  /// `floats`: what the values of a row take.
  [[gnu::always_inline]] RowsAhead(const LookupJob& job, std::int64_t floats)
      : rows_(job.rows), count_(job.row_count), at_once_(job.rows_at_once), on_lines_(job.on_lines), floats_(floats) {}

  /// Before row `now` is read.
  [[gnu::always_inline]] void ask_on(std::int64_t now) {
    if (asked_ - now < at_once_ && asked_ < count_) ask();
  }

 private:
  [[gnu::always_inline]] void ask() {
    constexpr std::int64_t kFloatsPerLine = 16;
    const std::int64_t end = std::min(asked_ + at_once_, count_);
    for (; asked_ < end; ++asked_) {
      const float* const row = rows_[asked_];
      for (std::int64_t i = 0; i < floats_; i += kFloatsPerLine) __builtin_prefetch(row + i, 0, 3);
      // A row that does not begin on a line reaches into one more.
      if (!on_lines_) __builtin_prefetch(row + floats_ - 1, 0, 3);
    }
  }

  const float* const* rows_;
  std::int64_t count_;
  std::int64_t at_once_;
  bool on_lines_;
  std::int64_t floats_;
  std::int64_t asked_ = 0;
};

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
[[gnu::always_inline]] inline void sum_bag(const LookupJob& job, std::int64_t first, std::int64_t last, float scale, float* output, RowsAhead& ahead) {
  constexpr std::int64_t kWidth = Vector::kWidth;
  // Vectors that a bag is summed in: for a known dim all of it, else so many columns at a time.
  constexpr std::int64_t kSums = kDim > 0 ? (kDim + kWidth - 1) / kWidth : 4;
  const std::int64_t dim = kDim > 0 ? kDim : job.dim;
  for (std::int64_t block = 0; block < dim; block += kSums * kWidth) {
    Vector sums[kSums];
    for (std::int64_t v = 0; v < kSums; ++v) sums[v] = Vector(0.0f);
    const std::int64_t rest = dim - block;
    for (std::int64_t i = first; i < last; ++i) {
      if (block == 0) ahead.ask_on(i);
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

/// Rows and bags of `kDim` values (0: job.dim, known only at run time), each an `Element` in the table and a float in the output.
template <typename Vector, typename Element, int kDim>
void lookup_loop(const LookupJob& from) {
  constexpr std::int64_t kWidth = Vector::kWidth;
  const LookupJob job = from;  // a copy of its own cannot change when outputs are written, so it stays in registers
  const std::int64_t dim = kDim > 0 ? kDim : job.dim;
  RowsAhead ahead(job, RowValues<Vector, Element>::floats(dim));
  ahead.ask_on(0);

  std::int64_t first = 0;
  float* sample_output = job.output;
  for (std::int64_t bag = 0; bag < job.bags; sample_output += job.output_stride) {
    float* output = sample_output;
    for (const std::int64_t end = bag + job.bags_together; bag < end; ++bag, output += dim) {
      if (job.bag_ends == nullptr) {
        ahead.ask_on(bag);
        const RowValues<Vector, Element> row(job.rows[bag], dim);
        for (std::int64_t column = 0; column < dim; column += kWidth) row.load_first(column, dim - column).store_first(output + column, dim - column);
        continue;
      }
      const std::int64_t last = job.bag_ends[bag];
      const float scale = job.scales == nullptr ? 1.0f : job.scales[bag];
      if (job.weights == nullptr) {
        sum_bag<Vector, Element, kDim, false>(job, first, last, scale, output, ahead);
      } else {
        sum_bag<Vector, Element, kDim, true>(job, first, last, scale, output, ahead);
      }
      first = last;
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
