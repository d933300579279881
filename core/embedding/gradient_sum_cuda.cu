#include "device/launch.h"
#include "embedding/cuda_embedding.h"
#include "kernels/vector_scalar.h"

namespace rechost {
namespace {

/// Index = element of [unique, dim].
struct SumElement {
  CudaGradientSum sum;

  RECHOST_HOST_DEVICE void operator()(std::int64_t element) const {
    const std::int64_t unique = element / sum.dim;
    const std::int64_t column = element % sum.dim;
    VectorScalar total(0.0f);
    for (std::int32_t k = sum.segment_offsets[unique]; k < sum.segment_offsets[unique + 1]; ++k) total = add(sum.positions[k], column, total);
    sum.sums[element] = total.value;
  }

  /// The gradients of the id at `position` in all lookups that read it.
  RECHOST_HOST_DEVICE VectorScalar add(std::int64_t position, std::int64_t column, VectorScalar total) const {
    std::int32_t c = 0;
    while (c + 1 < sum.column_count && position >= sum.columns[c + 1].first) ++c;
    const CudaGradientColumn& of = sum.columns[c];
    const std::int64_t in_column = position - of.first;
    const std::int64_t sample = of.one_each ? in_column : sum.samples[position];
    for (std::int32_t s = of.first_source; s < of.end_source; ++s) {
      const CudaGradientSource& source = sum.sources[s];
      const float gradient = source.first[(source.sequence ? in_column : sample) * source.stride + column];
      const float scale = source.offsets == nullptr ? 1.0f : 1.0f / static_cast<float>(source.offsets[sample + 1] - source.offsets[sample]);
      total = multiply_add(VectorScalar(gradient), VectorScalar(scale), total);
    }
    return total;
  }
};

}  // namespace
}  // namespace rechost

using namespace rechost;

RECHOST_MODULE_EXPORT const char* rechost_cuda_sum_gradients(StreamHandle stream, const CudaGradientSum& sum) {
  return for_each_index(stream, sum.unique * sum.dim, SumElement{sum});
}
