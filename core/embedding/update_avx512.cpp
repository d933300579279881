#include "embedding/update_loops.h"
#include "kernels/vector_avx512.h"

namespace rechost {

UpdateFunction update_avx512(OptimizerKind kind, std::int64_t dim) { return update_function<VectorAvx512>(kind, dim); }

}  // namespace rechost
