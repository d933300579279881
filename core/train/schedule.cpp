#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"

namespace rechost {
namespace {

ScheduleKind schedule_kind(const std::string& name) {
  if (name == "constant") return ScheduleKind::kConstant;
  if (name == "linear") return ScheduleKind::kLinear;
  if (name == "cosine") return ScheduleKind::kCosine;
  if (name == "polynomial") return ScheduleKind::kPolynomial;
  if (name == "plateau") return ScheduleKind::kPlateau;
  fail<ConfigError>("schedule.kind = \"{}\": must be constant, linear, cosine, polynomial or plateau", name);
}

}  // namespace

Schedule Schedule::from(const ScheduleSection& section, std::int64_t total_steps) {
  Schedule schedule;
  schedule.kind = schedule_kind(section.kind);
  schedule.warmup_steps = section.warmup_steps;
  schedule.decay_steps = section.decay_steps;
  schedule.final_factor = section.final_factor;
  schedule.power = section.power;
  const bool decays = schedule.kind != ScheduleKind::kConstant && schedule.kind != ScheduleKind::kPlateau;
  if (decays && schedule.decay_steps == 0) {
    schedule.decay_steps = total_steps - schedule.warmup_steps;
    if (schedule.decay_steps < 1) {
      fail<ConfigError>(
          "schedule.warmup_steps = {} leaves nothing of the run's {} steps for the {} decay: lower it, or set schedule.decay_steps",
          schedule.warmup_steps, total_steps, section.kind);
    }
  }
  return schedule;
}

double Schedule::factor(std::int64_t step) const {
  if (step < warmup_steps) return static_cast<double>(step) / static_cast<double>(warmup_steps);
  if (decay_steps <= 0) return 1.0;
  const double progress = std::min(static_cast<double>(step - warmup_steps) / static_cast<double>(decay_steps), 1.0);
  switch (kind) {
    case ScheduleKind::kLinear:
      return 1.0 - (1.0 - final_factor) * progress;
    case ScheduleKind::kCosine:
      return final_factor + (1.0 - final_factor) * 0.5 * (1.0 + std::cos(std::numbers::pi * progress));
    case ScheduleKind::kPolynomial:
      return final_factor + (1.0 - final_factor) * std::pow(1.0 - progress, power);
    case ScheduleKind::kConstant:
    case ScheduleKind::kPlateau:
      break;
  }
  return 1.0;
}

PlateauState::PlateauState(double factor, std::int64_t patience, bool higher_is_better)
    : factor_(factor), patience_(patience), higher_is_better_(higher_is_better) {}

bool PlateauState::observe(double metric) {
  const bool improved = !std::isnan(metric) && (!any_ || (higher_is_better_ ? metric > best_ : metric < best_));
  if (improved) {
    any_ = true;
    best_ = metric;
    without_improvement_ = 0;
    return false;
  }
  if (++without_improvement_ < std::max<std::int64_t>(patience_, 1)) return false;
  without_improvement_ = 0;
  current_ *= factor_;
  return true;
}

Json PlateauState::to_json() const {
  Json state{{"factor", current_}, {"without_improvement", without_improvement_}};
  if (any_) state["best"] = best_;
  return state;
}

void PlateauState::restore(const Json& state) {
  const auto number = [&](const char* key) { return state.is_object() && state.contains(key) && state[key].is_number(); };
  if (!number("factor") || !number("without_improvement")) {
    fail<CheckpointError>("the checkpoint's state of the plateau schedule is not one: {}", json_line(state));
  }
  current_ = state["factor"].get<double>();
  without_improvement_ = state["without_improvement"].get<std::int64_t>();
  any_ = number("best");
  best_ = any_ ? state["best"].get<double>() : 0.0;
}

}  // namespace rechost
