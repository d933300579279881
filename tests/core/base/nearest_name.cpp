#include "base/nearest_name.h"

#include <catch2/catch.hpp>
#include <vector>

using namespace rechost;

TEST_CASE("a typing error finds the name that was meant, and nonsense finds none") {
  const std::vector<std::string> names{"batch_size", "shuffle", "prefetch"};
  REQUIRE(nearest_name("batchsize", names) == "batch_size");
  REQUIRE(nearest_name("shufle", names) == "shuffle");
  REQUIRE(nearest_name("prefecth", names) == "prefetch");
  REQUIRE(nearest_name("zzzzzzzzzz", names).empty());
  REQUIRE(nearest_name("shuffle", {}).empty());
  REQUIRE(suggestion("shufle", names) == " (did you mean \"shuffle\"?)");
  REQUIRE(suggestion("zzzzzzzzzz", names).empty());
}
