#include "kernels/score_tile.h"

#include "kernels/vector_avx2.h"

namespace rechost {

ScoreTile score_tile_avx2() { return score_tile<VectorAvx2, 6, 2>(); }

}  // namespace rechost
