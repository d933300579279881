#include "device/launch.h"
#include "embedding/cuda_embedding.h"

namespace rechost {
namespace {

/// Index = element of [samples, dim]: neighbouring threads read neighbouring columns of a row.
struct LookUpElement {
  CudaLookup lookup;

  RECHOST_HOST_DEVICE void operator()(std::int64_t element) const {
    const std::int64_t sample = element / lookup.dim;
    const std::int64_t column = element % lookup.dim;
    const std::int64_t first = lookup.offsets == nullptr ? sample : lookup.offsets[sample];
    const std::int64_t last = lookup.offsets == nullptr ? sample + 1 : lookup.offsets[sample + 1];
    float sum = 0.0f;
    for (std::int64_t i = first; i < last; ++i) {
      const float value = lookup.table[lookup.ids[i] * lookup.stride + column];
      sum += lookup.weights == nullptr ? value : lookup.weights[i] * value;
    }
    if (lookup.mean && last > first) sum *= 1.0f / static_cast<float>(last - first);
    lookup.output[sample * lookup.output_stride + column] = sum;
  }
};

}  // namespace
}  // namespace rechost

using namespace rechost;

RECHOST_MODULE_EXPORT const char* rechost_cuda_lookup(StreamHandle stream, const CudaLookup& lookup) {
  return for_each_index(stream, lookup.samples * lookup.dim, LookUpElement{lookup});
}
