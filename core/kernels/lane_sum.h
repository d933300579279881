#pragma once

#include <cstdint>

#include "device/launch.h"
#include "kernels/cuda_kernels.h"

namespace rechost {

/// Adds what `Term` gives for each index, in double, in an order that depends on the count alone. Lane k takes the indices k, k + kLanes,
/// ..., so that neighbouring threads read neighbouring memory.
inline constexpr std::int64_t kLanes = kSumRoom - kSumParts;

template <typename Term>
struct LaneSum {
  Term term;
  std::int64_t count = 0;
  double* lanes = nullptr;

  RECHOST_HOST_DEVICE void operator()(std::int64_t lane) const {
    double sum = 0.0;
    for (std::int64_t i = lane; i < count; i += kLanes) sum += term(i);
    lanes[lane] = sum;
  }
};

struct PartOfLanes {
  const double* lanes = nullptr;
  double* parts = nullptr;

  RECHOST_HOST_DEVICE void operator()(std::int64_t part) const {
    double sum = 0.0;
    for (std::int64_t lane = part; lane < kLanes; lane += kSumParts) sum += lanes[lane];
    parts[part] = sum;
  }
};

template <typename Term>
const char* sum_in_parts(StreamHandle stream, std::int64_t count, const Term& term, double* room) {
  double* const lanes = room + kSumParts;
  if (const char* error = for_each_index(stream, kLanes, LaneSum<Term>{term, count, lanes})) return error;
  return for_each_index(stream, kSumParts, PartOfLanes{lanes, room});
}

}  // namespace rechost
