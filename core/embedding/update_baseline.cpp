#include "embedding/update_loops.h"
#include "kernels/vector_baseline.h"

namespace rechost {

UpdateFunction update_baseline(RowPrecision precision, OptimizerKind kind, std::int64_t dim) {
  return update_function<VectorBaseline>(precision, kind, dim);
}

SumFunction sum_baseline(std::int64_t dim) { return sum_function<VectorBaseline>(dim); }

}  // namespace rechost
