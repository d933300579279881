#include "kernels/losses_loops.h"
#include "kernels/vector_baseline.h"

namespace rechost {

const LossLoops& loss_loops_baseline() { return kLossLoops<VectorBaseline>; }

}  // namespace rechost
