#include "kernels/cuda_kernels.h"

namespace rechost {

CudaKernels::CudaKernels(const CudaModule& module)
    : update_rows(module.function<decltype(update_rows)>("rechost_cuda_update_rows")),
      clamp_values(module.function<decltype(clamp_values)>("rechost_cuda_clamp_values")),
      sum_of_squares(module.function<decltype(sum_of_squares)>("rechost_cuda_sum_of_squares")),
      loss_and_gradient(module.function<decltype(loss_and_gradient)>("rechost_cuda_loss_and_gradient")) {}

}  // namespace rechost
