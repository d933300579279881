#pragma once

#include <cstdint>
#include <span>

#include "kernels/optimizer.h"

namespace rechost {

/// One step on one row in double precision, written from the formulas in optimizer.h without regard to speed: what the vectorised rules are
/// tested against. `gradient` and `values` [dim]; `state` [optimizer_state_floats(kind, dim)], first array before second.
void optimizer_step_reference(const OptimizerSettings& optimizer, std::int64_t step, double lr_factor, std::span<const double> gradient,
                              std::span<double> values, std::span<double> state);

}  // namespace rechost
