#include "kernels/losses_loops.h"
#include "kernels/vector_avx2.h"

namespace rechost {

const LossLoops& loss_loops_avx2() { return kLossLoops<VectorAvx2>; }

}  // namespace rechost
