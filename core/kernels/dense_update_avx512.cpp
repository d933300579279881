#include "kernels/dense_update_loops.h"
#include "kernels/vector_avx512.h"

namespace rechost {

DenseUpdateFunction dense_update_avx512(OptimizerKind kind) { return dense_update_function<VectorAvx512>(kind); }

}  // namespace rechost
