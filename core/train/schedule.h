#pragma once

#include <cstdint>

#include "base/json.h"
#include "config/sections.h"

namespace rechost {

enum class ScheduleKind { kConstant, kLinear, kCosine, kPolynomial, kPlateau };

/// The factor of all learning rates, as a pure function of the step. With w = warmup_steps, d = decay_steps, f = final_factor:
///  warm-up     step / w                          while step < w (the first step is 1, so it is never 0)
///  p           (step - w) / d, at most 1         after it
///  constant    1
///  linear      1 - (1 - f) p
///  cosine      f + (1 - f) (1 + cos(pi p)) / 2   (Loshchilov & Hutter 2017, without restarts)
///  polynomial  f + (1 - f) (1 - p)^power
///  plateau     1; the rest is PlateauState's
struct Schedule {
  ScheduleKind kind = ScheduleKind::kConstant;
  std::int64_t warmup_steps = 0;
  std::int64_t decay_steps = 0;
  double final_factor = 0.0;
  double power = 1.0;

  /// `total_steps` of the run fills in decay_steps = 0. Throws ConfigError where the decay has no length.
  static Schedule from(const ScheduleSection& section, std::int64_t total_steps);

  /// `step` from 1.
  double factor(std::int64_t step) const;
};

/// Reduces the factor when the watched metric has stopped improving. Belongs into checkpoints.
class PlateauState {
 public:
  /// Multiplies by `factor` after `patience` evaluations without improvement, as often as that happens.
  PlateauState(double factor, std::int64_t patience, bool higher_is_better);

  /// The metric of one evaluation; an undefined one (NaN) is no improvement. Returns whether the factor was reduced now.
  bool observe(double metric);

  double factor() const { return current_; }

  Json to_json() const;
  /// Throws CheckpointError for what to_json() has not written.
  void restore(const Json& state);

 private:
  double factor_;
  std::int64_t patience_;
  bool higher_is_better_;
  double current_ = 1.0;
  bool any_ = false;
  double best_ = 0.0;
  std::int64_t without_improvement_ = 0;
};

}  // namespace rechost
