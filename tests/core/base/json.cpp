#include "base/json.h"

#include <chrono>
#include <limits>

#include <catch2/catch.hpp>

#include "base/error.h"
#include "base/time.h"

using namespace rechost;

TEST_CASE("JSON is written with the shortest digits that read back the same") {
  CHECK(json_line(Json{{"b", 0.1}, {"a", 1}}) == R"({"b":0.1,"a":1})");
  CHECK(json_line(Json(1.0 / 3.0)) == "0.3333333333333333");
  CHECK(json_line(Json(std::numeric_limits<double>::quiet_NaN())) == "null");
  CHECK_NOTHROW(json_line(Json("\xff")));
  CHECK(json_document(Json{{"a", 1}}) == "{\n \"a\": 1\n}\n");
}

TEST_CASE("JSON that is broken or has a key twice is refused with its origin") {
  CHECK(parse_json(R"({"a": {"x": 1}, "b": {"x": 2}})", "f")["b"]["x"] == 2);
  CHECK_THROWS_WITH(parse_json(R"({"a": 1, "a": 2})", "here.json"),
                    Catch::Contains("here.json") && Catch::Contains("\"a\" is there twice"));
  CHECK_THROWS_WITH(parse_json(R"([{"x": {"y": 1}, "x": 2}])", "here.json"), Catch::Contains("\"x\" is there twice"));
  CHECK_THROWS_WITH(parse_json("{", "here.json"), Catch::Contains("here.json"));
}

TEST_CASE("Times are written in UTC") {
  const WallTime time = WallTime(std::chrono::seconds(1'700'000'000)) + std::chrono::milliseconds(7);
  CHECK(utc_text(time) == "2023-11-14T22:13:20.007Z");
  CHECK(utc_compact(time) == "20231114-221320");
  CHECK(unix_seconds(time) == Approx(1'700'000'000.007));
}
