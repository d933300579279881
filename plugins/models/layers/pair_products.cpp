#include "layers/pair_products.h"

#include <algorithm>
#include <vector>

#include "layers/instruction_sets.h"

namespace layers {
namespace {

// To whole registers of the widest kind.
int64_t padded(int64_t count) { return (count + 15) / 16 * 16; }

constexpr int64_t kRows = 8;  // whose sums are in registers at once

// One register. What is wider than one GCC takes apart number by number.
template <int64_t kLanes>
struct Register {
  using Values [[gnu::vector_size(kLanes * sizeof(float))]] = float;
  // The same anywhere in an array of floats. (Values cannot be passed to functions and back: how would depend on the processor.)
  using ValuesAt [[gnu::vector_size(kLanes * sizeof(float)), gnu::aligned(alignof(float)), gnu::may_alias]] = float;
};

// A sample's vectors, and room for what is made of them. Rows beyond the last vector and columns beyond `dim` are zero.
struct Sample {
  explicit Sample(const PairInput& input)
      : rows(padded(input.vectors)), columns(padded(input.dim)), vectors(static_cast<std::size_t>(rows * columns)),
        transposed(vectors.size()), result(static_cast<std::size_t>(std::max(rows * rows, rows * columns))) {}

  int64_t rows;     // of `vectors`, with the padding
  int64_t columns;
  std::vector<float> vectors;     // [rows, columns]
  std::vector<float> transposed;  // [columns, rows]
  std::vector<float> result;      // products [rows, rows], or gradients [rows, columns]
};

[[gnu::always_inline]] inline void load_sample(const PairInput& input, int64_t index, Sample& sample) {
  float* to = sample.vectors.data();
  const int64_t others = input.vectors - (input.lead != nullptr ? 1 : 0);
  if (input.lead != nullptr) {
    __builtin_memcpy(to, input.lead + index * input.dim, static_cast<std::size_t>(input.dim) * sizeof(float));
    to += sample.columns;
  }
  const float* from = input.rest + index * others * input.dim;
  if (input.dim == sample.columns) {
    __builtin_memcpy(to, from, static_cast<std::size_t>(others * input.dim) * sizeof(float));
    return;
  }
  for (int64_t vector = 0; vector < others; ++vector) std::copy_n(from + vector * input.dim, input.dim, to + vector * sample.columns);
}

template <int64_t kLanes>
[[gnu::always_inline]] inline void products_by(const PairInput& input, int64_t begin, int64_t end, float* out, int64_t width) {
  Sample sample(input);
  const int64_t n = input.vectors;
  const int64_t rows = sample.rows;
  const int64_t columns = sample.columns;
  float* const x = sample.vectors.data();
  float* const across = sample.transposed.data();
  float* const products = sample.result.data();
  for (int64_t index = begin; index < end; ++index) {
    load_sample(input, index, sample);
    for (int64_t vector = 0; vector < n; ++vector) {
      for (int64_t d = 0; d < input.dim; ++d) across[d * rows + vector] = x[vector * columns + d];
    }
    for (int64_t column = 0; column < rows; column += kLanes) {
      // Only what is right of the diagonal is wanted.
      for (int64_t row = 0; row < std::min(n, column + kLanes); row += kRows) {
        typename Register<kLanes>::Values sums[kRows] = {};
        for (int64_t d = 0; d < input.dim; ++d) {
          const typename Register<kLanes>::Values values = *reinterpret_cast<const typename Register<kLanes>::ValuesAt*>(across + d * rows + column);
          for (int64_t r = 0; r < kRows; ++r) sums[r] += values * x[(row + r) * columns + d];
        }
        for (int64_t r = 0; r < kRows; ++r) *reinterpret_cast<typename Register<kLanes>::ValuesAt*>(products + (row + r) * rows + column) = sums[r];
      }
    }
    float* to = out + index * width;
    float* const row_end = to + width;
    if (input.lead != nullptr) to = std::copy_n(x, input.dim, to);
    for (int64_t row = 0; row + 1 < n; ++row) to = std::copy_n(products + row * rows + row + 1, n - 1 - row, to);
    std::fill(to, row_end, 0.0F);
  }
}

template <int64_t kLanes>
[[gnu::always_inline]] inline void gradient_by(const PairInput& input, int64_t begin, int64_t end, const float* gradient, int64_t width,
                                               float* to_lead, float* to_rest) {
  Sample sample(input);
  const int64_t n = input.vectors;
  const int64_t rows = sample.rows;
  const int64_t columns = sample.columns;
  const bool has_lead = input.lead != nullptr;
  const int64_t others = n - (has_lead ? 1 : 0);
  float* const x = sample.vectors.data();
  float* const result = sample.result.data();
  // [rows, rows], symmetric: what the products' gradients are as a matrix. Its diagonal and padding stay zero.
  std::vector<float> weights(static_cast<std::size_t>(rows * rows), 0.0F);
  for (int64_t index = begin; index < end; ++index) {
    load_sample(input, index, sample);
    const float* const from = gradient + index * width;
    const float* pair = from + (has_lead ? input.dim : 0);
    for (int64_t row = 0; row + 1 < n; ++row) {
      for (int64_t column = row + 1; column < n; ++column, ++pair) {
        weights[static_cast<std::size_t>(row * rows + column)] = *pair;
        weights[static_cast<std::size_t>(column * rows + row)] = *pair;
      }
    }
    for (int64_t row = 0; row < n; row += kRows) {
      const float* const own = weights.data() + row * rows;
      for (int64_t column = 0; column < columns; column += kLanes) {
        typename Register<kLanes>::Values sums[kRows] = {};
        for (int64_t other = 0; other < n; ++other) {
          const typename Register<kLanes>::Values values = *reinterpret_cast<const typename Register<kLanes>::ValuesAt*>(x + other * columns + column);
          for (int64_t r = 0; r < kRows; ++r) sums[r] += values * own[r * rows + other];
        }
        for (int64_t r = 0; r < kRows; ++r) *reinterpret_cast<typename Register<kLanes>::ValuesAt*>(result + (row + r) * columns + column) = sums[r];
      }
    }
    const float* made = result;
    if (has_lead) {
      for (int64_t d = 0; d < input.dim; ++d) to_lead[index * input.dim + d] = made[d] + from[d];
      made += columns;
    }
    float* const to = to_rest + index * others * input.dim;
    for (int64_t vector = 0; vector < others; ++vector) std::copy_n(made + vector * columns, input.dim, to + vector * input.dim);
  }
}

MODEL_KERNEL_FOR("x86-64-v4") void products_16(const PairInput& input, int64_t begin, int64_t end, float* out, int64_t width) {
  products_by<16>(input, begin, end, out, width);
}
MODEL_KERNEL_FOR("x86-64-v3") void products_8(const PairInput& input, int64_t begin, int64_t end, float* out, int64_t width) {
  products_by<8>(input, begin, end, out, width);
}
void products_4(const PairInput& input, int64_t begin, int64_t end, float* out, int64_t width) { products_by<4>(input, begin, end, out, width); }

MODEL_KERNEL_FOR("x86-64-v4")
void gradient_16(const PairInput& input, int64_t begin, int64_t end, const float* gradient, int64_t width, float* to_lead, float* to_rest) {
  gradient_by<16>(input, begin, end, gradient, width, to_lead, to_rest);
}
MODEL_KERNEL_FOR("x86-64-v3")
void gradient_8(const PairInput& input, int64_t begin, int64_t end, const float* gradient, int64_t width, float* to_lead, float* to_rest) {
  gradient_by<8>(input, begin, end, gradient, width, to_lead, to_rest);
}
void gradient_4(const PairInput& input, int64_t begin, int64_t end, const float* gradient, int64_t width, float* to_lead, float* to_rest) {
  gradient_by<4>(input, begin, end, gradient, width, to_lead, to_rest);
}

}  // namespace

void pair_products(const PairInput& input, int64_t begin, int64_t end, float* out, int64_t width) {
  static const auto kernel = kernel_for_processor(products_4, products_8, products_16);
  kernel(input, begin, end, out, width);
}

void pair_products_gradient(const PairInput& input, int64_t begin, int64_t end, const float* gradient, int64_t width, float* to_lead,
                            float* to_rest) {
  static const auto kernel = kernel_for_processor(gradient_4, gradient_8, gradient_16);
  kernel(input, begin, end, gradient, width, to_lead, to_rest);
}

}  // namespace layers
