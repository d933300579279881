#include "kernels/dense_update_loops.h"
#include "kernels/vector_avx2.h"

namespace rechost {

DenseUpdateFunction dense_update_avx2(OptimizerKind kind) { return dense_update_function<VectorAvx2>(kind); }

}  // namespace rechost
