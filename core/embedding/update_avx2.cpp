#include "embedding/update_loops.h"
#include "kernels/vector_avx2.h"

namespace rechost {

UpdateFunction update_avx2(RowPrecision precision, OptimizerKind kind, std::int64_t dim) {
  return update_function<VectorAvx2>(precision, kind, dim);
}

SumFunction sum_avx2(std::int64_t dim) { return sum_function<VectorAvx2>(dim); }

}  // namespace rechost
