#include "kernels/score_tile.h"

#include "kernels/vector_baseline.h"

namespace rechost {

ScoreTile score_tile_baseline() { return score_tile<VectorBaseline, 4, 2>(); }

}  // namespace rechost
