#include "embedding/cuda_embedding.h"

namespace rechost {

CudaEmbedding::CudaEmbedding(const CudaModule& module)
    : lookup(module.function<decltype(lookup)>("rechost_cuda_lookup")),
      sum_gradients(module.function<decltype(sum_gradients)>("rechost_cuda_sum_gradients")) {}

}  // namespace rechost
