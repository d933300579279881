#include "base/time.h"

#include <catch2/catch.hpp>

#include "base/error.h"

using namespace rechost;

TEST_CASE("A time that was written is read again to the millisecond") {
  const WallTime time = WallTime(std::chrono::milliseconds(1'700'000'000'123));
  CHECK(utc_text(time) == "2023-11-14T22:13:20.123Z");
  CHECK(parse_utc(utc_text(time)) == time);
  CHECK(parse_utc("1969-12-31T23:59:59.999Z") == WallTime(std::chrono::milliseconds(-1)));
}

TEST_CASE("What is no time is an error") {
  for (const char* text : {"", "2023-11-14", "2023-11-14T22:13:20Z", "2023-11-14T22:13:20.123", "2023-11-14T22:13:20.123Z ", "yesterday"}) {
    INFO(text);
    CHECK_THROWS_AS(parse_utc(text), Error);
  }
}
