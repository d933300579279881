#include "train/schedule.h"

#include <cmath>
#include <limits>

#include <catch2/catch.hpp>

#include "base/error.h"

using namespace rechost;

namespace {

Schedule decaying(ScheduleKind kind, double final_factor = 0.0, double power = 1.0) {
  return {.kind = kind, .warmup_steps = 10, .decay_steps = 100, .final_factor = final_factor, .power = power};
}

}  // namespace

TEST_CASE("Warm-up rises from the first step to 1") {
  for (const ScheduleKind kind : {ScheduleKind::kConstant, ScheduleKind::kLinear, ScheduleKind::kCosine, ScheduleKind::kPlateau}) {
    const Schedule schedule = decaying(kind);
    CHECK(schedule.factor(1) == 0.1);
    CHECK(schedule.factor(5) == 0.5);
    CHECK(schedule.factor(10) == 1.0);
  }
}

TEST_CASE("Decays pass through their halves and stay at their ends") {
  CHECK(decaying(ScheduleKind::kConstant).factor(1'000'000) == 1.0);
  CHECK(decaying(ScheduleKind::kLinear, 0.2).factor(60) == Approx(0.6));
  CHECK(decaying(ScheduleKind::kLinear, 0.2).factor(110) == Approx(0.2));
  CHECK(decaying(ScheduleKind::kLinear, 0.2).factor(5000) == Approx(0.2));
  CHECK(decaying(ScheduleKind::kCosine, 0.2).factor(60) == Approx(0.6));
  CHECK(decaying(ScheduleKind::kCosine, 0.2).factor(35) == Approx(0.2 + 0.8 * (1 + std::sqrt(0.5)) / 2));
  CHECK(decaying(ScheduleKind::kCosine).factor(110) == Approx(0.0).margin(1e-15));
  CHECK(decaying(ScheduleKind::kPolynomial, 0.0, 2.0).factor(60) == Approx(0.25));
  CHECK(decaying(ScheduleKind::kPolynomial, 0.1, 0.5).factor(85) == Approx(0.1 + 0.9 * 0.5));
}

TEST_CASE("Without warm-up the first step is at 1 less one step of decay") {
  const Schedule schedule{.kind = ScheduleKind::kLinear, .warmup_steps = 0, .decay_steps = 10};
  CHECK(schedule.factor(1) == Approx(0.9));
  CHECK(schedule.factor(10) == 0.0);
}

TEST_CASE("A decay without a length goes to the end of the run") {
  ScheduleSection section;
  section.kind = "linear";
  section.warmup_steps = 20;
  CHECK(Schedule::from(section, 120).decay_steps == 100);
  CHECK_THROWS_WITH(Schedule::from(section, 20), Catch::Contains("warmup_steps = 20") && Catch::Contains("20 steps"));
  section.kind = "constant";
  CHECK_NOTHROW(Schedule::from(section, 10));
  section.kind = "sideways";
  CHECK_THROWS_AS(Schedule::from(section, 10), ConfigError);
}

TEST_CASE("A plateau reduces the factor after enough evaluations without improvement") {
  PlateauState plateau(0.5, 2, true);
  CHECK_FALSE(plateau.observe(0.7));
  CHECK_FALSE(plateau.observe(0.7));
  CHECK(plateau.observe(0.6));
  CHECK(plateau.factor() == 0.5);
  CHECK_FALSE(plateau.observe(0.8));
  CHECK_FALSE(plateau.observe(std::numeric_limits<double>::quiet_NaN()));
  CHECK(plateau.observe(0.8));
  CHECK(plateau.factor() == 0.25);
}

TEST_CASE("A plateau of a loss improves downwards") {
  PlateauState plateau(0.1, 1, false);
  CHECK_FALSE(plateau.observe(0.7));
  CHECK_FALSE(plateau.observe(0.6));
  CHECK(plateau.observe(0.65));
}

TEST_CASE("A restored plateau goes on as if nothing had happened") {
  PlateauState whole(0.5, 2, true);
  PlateauState first(0.5, 2, true);
  for (const double metric : {0.5, 0.4}) {
    whole.observe(metric);
    first.observe(metric);
  }
  PlateauState second(0.5, 2, true);
  second.restore(parse_json(json_line(first.to_json()), "state"));
  for (const double metric : {0.3, 0.6, 0.5, 0.5, 0.1}) CHECK(whole.observe(metric) == second.observe(metric));
  CHECK(whole.factor() == second.factor());
  CHECK(whole.to_json() == second.to_json());

  PlateauState untouched(0.5, 2, true);
  CHECK_NOTHROW(second.restore(untouched.to_json()));
  CHECK(second.to_json() == untouched.to_json());
  CHECK_THROWS_AS(second.restore(Json::object()), CheckpointError);
  CHECK_THROWS_AS(second.restore(Json(3)), CheckpointError);
}
