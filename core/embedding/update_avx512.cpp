#include "embedding/update_loops.h"
#include "kernels/vector_avx512.h"

namespace rechost {

UpdateFunction update_avx512(RowPrecision precision, OptimizerKind kind, std::int64_t dim) {
  return update_function<VectorAvx512>(precision, kind, dim);
}

SumFunction sum_avx512(std::int64_t dim) { return sum_function<VectorAvx512>(dim); }

}  // namespace rechost
