#include "kernels/score_tile.h"

#include "kernels/vector_avx512.h"

namespace rechost {

ScoreTile score_tile_avx512() { return score_tile<VectorAvx512, 8, 3>(); }

}  // namespace rechost
