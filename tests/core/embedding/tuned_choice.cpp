#include "embedding/tuned_choice.h"

#include <catch2/catch.hpp>
#include <map>

using namespace rechost;

TEST_CASE("each value is tried as often as the others, and the one with the shortest try stays") {
  TunedChoice<3> choice(std::array<std::int64_t, 3>{32, 16, 64});
  std::map<std::int64_t, int> tries;
  REQUIRE(choice.value() == 32);
  for (int work = 0; !choice.tuned(); ++work) {
    const std::int64_t value = choice.value();
    ++tries[value];
    // What disturbs makes most tries of the best one as long as those of the others.
    choice.took(value == 16 && work > 9 && work < 13 ? 1.0 : 2.0 + 0.01 * work);
  }
  REQUIRE(tries == std::map<std::int64_t, int>{{16, 6}, {32, 6}, {64, 6}});
  REQUIRE(choice.value() == 16);
  choice.took(100.0);
  REQUIRE(choice.value() == 16);
}
