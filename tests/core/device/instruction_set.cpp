#include "device/instruction_set.h"

#include <catch2/catch.hpp>

using namespace rechost;

TEST_CASE("dispatch follows the limit downwards") {
  const InstructionSet widest = instruction_set();
  set_instruction_set_limit(InstructionSet::kBaseline);
  REQUIRE(instruction_set() == InstructionSet::kBaseline);
  REQUIRE(choose_twin(1, 2, 3) == 1);
  set_instruction_set_limit(InstructionSet::kAvx512);
  REQUIRE(instruction_set() == widest);
  REQUIRE(choose_twin(1, 2, 3) == 1 + static_cast<int>(widest));
  REQUIRE(instruction_set_name(InstructionSet::kAvx2) == "avx2");
}
