#include "device/launch.h"
#include "embedding/cuda_embedding.h"
#include "kernels/vector_scalar.h"

namespace rechost {
namespace {

/// Index = element of [pieces, dim]: the sums over one piece of the sorted positions, a row's segment after the other. A segment that lies
/// whole in the piece is done; one that comes in from the piece before goes to `heads`, one that only goes on into the next to `tails`.
struct SumPiece {
  CudaGradientSum sum;

  RECHOST_HOST_DEVICE void operator()(std::int64_t element) const {
    const std::int64_t piece = element / sum.dim;
    const std::int64_t column = element % sum.dim;
    const std::int64_t begin = piece * kGradientPiece;
    const std::int64_t end = begin + kGradientPiece < sum.position_count ? begin + kGradientPiece : sum.position_count;
    std::int64_t unique = segment_of(begin);
    VectorScalar total(0.0f);
    for (std::int64_t k = begin; k < end; ++k) {
      if (k == sum.segment_offsets[unique + 1]) {
        *place_of(unique, piece, begin, end, column) = total.value;
        ++unique;
        total = VectorScalar(0.0f);
      }
      total = add(sum.positions[k], column, total);
    }
    *place_of(unique, piece, begin, end, column) = total.value;
  }

  RECHOST_HOST_DEVICE float* place_of(std::int64_t unique, std::int64_t piece, std::int64_t begin, std::int64_t end, std::int64_t column) const {
    if (sum.segment_offsets[unique] < begin) return sum.heads + piece * sum.dim + column;
    if (sum.segment_offsets[unique + 1] > end) return sum.tails + piece * sum.dim + column;
    return sum.sums + unique * sum.dim + column;
  }

  /// The segment that holds a position. No segment is empty.
  RECHOST_HOST_DEVICE std::int64_t segment_of(std::int64_t position) const {
    std::int64_t low = 0;
    std::int64_t high = sum.unique;
    while (low + 1 < high) {
      const std::int64_t middle = low + (high - low) / 2;
      if (sum.segment_offsets[middle] <= position) {
        low = middle;
      } else {
        high = middle;
      }
    }
    return low;
  }

  /// The gradients of the id at `position` in all lookups that read it.
  RECHOST_HOST_DEVICE VectorScalar add(std::int64_t position, std::int64_t column, VectorScalar total) const {
    std::int32_t c = 0;
    while (c + 1 < sum.column_count && position >= sum.columns[c + 1].first) ++c;
    const CudaGradientColumn& of = sum.columns[c];
    const std::int64_t in_column = position - of.first;
    const std::int64_t sample = of.one_each ? in_column : sum.samples[position];
    for (std::int32_t s = of.first_source; s < of.end_source; ++s) {
      const CudaGradientSource& source = sum.sources[s];
      const float gradient = source.first[(source.sequence ? in_column : sample) * source.stride + column];
      const float weight = source.weights == nullptr ? 1.0f : source.weights[in_column];
      const float scale = source.offsets == nullptr ? weight : weight / static_cast<float>(source.offsets[sample + 1] - source.offsets[sample]);
      total = multiply_add(VectorScalar(gradient), VectorScalar(scale), total);
    }
    return total;
  }
};

/// Index = element of [unique, dim]: the parts of a segment that lies in several pieces, in order.
struct JoinPieces {
  CudaGradientSum sum;

  RECHOST_HOST_DEVICE void operator()(std::int64_t element) const {
    const std::int64_t unique = element / sum.dim;
    const std::int64_t column = element % sum.dim;
    const std::int64_t first = sum.segment_offsets[unique] / kGradientPiece;
    const std::int64_t last = (sum.segment_offsets[unique + 1] - 1) / kGradientPiece;
    if (first == last) return;
    float total = sum.tails[first * sum.dim + column];
    for (std::int64_t piece = first + 1; piece <= last; ++piece) total += sum.heads[piece * sum.dim + column];
    sum.sums[element] = total;
  }
};

}  // namespace
}  // namespace rechost

using namespace rechost;

RECHOST_MODULE_EXPORT const char* rechost_cuda_sum_gradients(StreamHandle stream, const CudaGradientSum& sum) {
  if (const char* error = for_each_index(stream, gradient_pieces(sum.position_count) * sum.dim, SumPiece{sum})) return error;
  return for_each_index(stream, sum.unique * sum.dim, JoinPieces{sum});
}
