#include "kernels/losses_loops.h"
#include "kernels/vector_avx512.h"

namespace rechost {

const LossLoops& loss_loops_avx512() { return kLossLoops<VectorAvx512>; }

}  // namespace rechost
