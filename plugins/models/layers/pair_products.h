// Products of all pairs among a sample's vectors, as DLRM's interaction wants them.
#pragma once

#include <cstdint>

namespace layers {

// Samples of `vectors` vectors of `dim` floats: the first one alone in `lead` (null: it is among the others), the rest in `rest`.
struct PairInput {
  const float* lead = nullptr;  // [samples, dim]
  const float* rest = nullptr;  // [samples, vectors - (lead ? 1 : 0), dim]
  int64_t vectors = 0;
  int64_t dim = 0;
};

// out [samples, width], samples [begin, end) of it: the lead where there is one, then x_i . x_j for i < j, row by row of the strict upper
// triangle, then zeros up to `width`.
void pair_products(const PairInput& input, int64_t begin, int64_t end, float* out, int64_t width);

// The gradients of `lead` and `rest` from that of `out`, written whole.
void pair_products_gradient(const PairInput& input, int64_t begin, int64_t end, const float* gradient, int64_t width, float* to_lead,
                            float* to_rest);

}  // namespace layers
