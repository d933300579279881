#include "embedding/lookup_loops.h"
#include "kernels/vector_avx512.h"

namespace rechost {

LookupFunction lookup_avx512(RowPrecision precision, std::int64_t dim) { return lookup_function<VectorAvx512>(precision, dim); }

}  // namespace rechost
