#include "embedding/lookup_loops.h"
#include "kernels/vector_avx2.h"

namespace rechost {

LookupFunction lookup_avx2(RowPrecision precision, std::int64_t dim) { return lookup_function<VectorAvx2>(precision, dim); }

}  // namespace rechost
