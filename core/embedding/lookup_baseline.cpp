#include "embedding/lookup_loops.h"
#include "kernels/vector_baseline.h"

namespace rechost {

LookupFunction lookup_baseline(RowPrecision precision, std::int64_t dim) { return lookup_function<VectorBaseline>(precision, dim); }

}  // namespace rechost
