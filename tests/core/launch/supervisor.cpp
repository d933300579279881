#include "launch/supervisor.h"

#include <catch2/catch.hpp>
#include <string>

using namespace rechost;

namespace {

SupervisorResult supervised(int processes, const std::string& script) {
  return supervise({.program = "/bin/sh", .arguments = {"-c", script}, .environment = {"PATH=/usr/bin:/bin"}, .processes = processes, .world_size = processes});
}

}  // namespace

TEST_CASE("a job ends with the code of the rank that failed, though others that lost it may have ended before") {
  const std::string lost_it = "test $RECHOST_RANK = 1 || exit 76; sleep 0.5; ";
  REQUIRE(supervised(3, lost_it + "exit 1").code == 1);
  REQUIRE(supervised(3, lost_it + "exit 78").code == 78);

  const SupervisorResult killed = supervised(3, lost_it + "kill -9 $$");
  REQUIRE(killed.code == 76);
  REQUIRE(killed.killed.find("rank 1") == 0);
}

TEST_CASE("of several failures the first counts") {
  REQUIRE(supervised(2, "test $RECHOST_RANK = 1 || exit 3; sleep 0.5; exit 4").code == 3);
  REQUIRE(supervised(2, "exit 0").code == 0);
  // One that stopped when asked to is no failure while others fail.
  REQUIRE(supervised(2, "test $RECHOST_RANK = 1 || exit 75; sleep 0.5; exit 4").code == 4);
  REQUIRE(supervised(2, "test $RECHOST_RANK = 1 || exit 76; sleep 0.5; exit 75").code == 76);
}

TEST_CASE("more processes than fit the machine's memory are not started") {
  CHECK_NOTHROW(require_memory(400, 24'000'000'000));
  CHECK_THROWS_WITH(require_memory(401, 24'000'000'000), Catch::Contains("401 processes") && Catch::Contains("24.0 GB") && Catch::Contains("at most 400"));
}
