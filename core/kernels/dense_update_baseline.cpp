#include "kernels/dense_update_loops.h"
#include "kernels/vector_baseline.h"

namespace rechost {

DenseUpdateFunction dense_update_baseline(OptimizerKind kind) { return dense_update_function<VectorBaseline>(kind); }

}  // namespace rechost
