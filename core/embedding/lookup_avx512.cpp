#include "embedding/lookup_loops.h"
#include "kernels/vector_avx512.h"

namespace rechost {

LookupFunction lookup_avx512(std::int64_t dim) { return lookup_function<VectorAvx512>(dim); }

}  // namespace rechost
