#include "tracking/tensorboard_writer.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "core/base/temporary_directory.h"

using namespace rechost;
using rechost::test::TemporaryDirectory;

namespace {

std::string bytes_of(std::string_view hex) {
  std::string bytes;
  std::string digits;
  for (const char c : hex) {
    if (c != ' ') digits += c;
  }
  for (std::size_t i = 0; i < digits.size(); i += 2) bytes += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
  return bytes;
}

constexpr double kWall = 1'700'000'000.0;

/// Splits a file into events and checks every frame.
std::vector<std::string> events_in(const std::string& bytes) {
  std::vector<std::string> events;
  for (std::size_t begin = 0; begin < bytes.size();) {
    std::uint64_t length = 0;
    std::memcpy(&length, bytes.data() + begin, sizeof length);
    events.push_back(bytes.substr(begin + 12, length));
    CHECK(bytes.substr(begin, length + 16) == tensorboard_frame(events.back()));
    begin += length + 16;
  }
  return events;
}

}  // namespace

TEST_CASE("CRC-32C has its known value") {
  CHECK(crc32c("123456789") == 0xe3069283u);
  CHECK(crc32c("") == 0u);
}

TEST_CASE("The version record has its known bytes") {
  CHECK(tensorboard_frame(tensorboard_version_event(kWall)) ==
        bytes_of("1800000000000000 a37f4b22 09 00000040fc54d941 1a 0d 627261696e2e4576656e743a32 eced8f9d"));
}

TEST_CASE("A scalar has its known bytes") {
  const std::vector<Scalar> scalars{{"loss", 0.5f}};
  CHECK(tensorboard_frame(tensorboard_scalars_event(kWall + 0.5, 3, scalars)) ==
        bytes_of("1a00000000000000 129bd82d 09 00002040fc54d941 10 03 2a 0d 0a 0b 0a 04 6c6f7373 15 0000003f 8cff6fe4"));
}

TEST_CASE("A file begins with its version, and a resumed one says from where") {
  const TemporaryDirectory directory;
  const WallTime now = WallTime(std::chrono::seconds(1'700'000'000));
  TensorBoardWriter fresh(directory / "tensorboard", 0, now);
  TensorBoardWriter resumed(directory / "tensorboard", 300, now);
  CHECK(fresh.path() != resumed.path());
  CHECK_THAT(fresh.path().filename().string(), Catch::StartsWith("events.out.tfevents.1700000000."));
  CHECK(events_in(read_file(fresh.path())) == std::vector<std::string>{tensorboard_version_event(kWall)});
  CHECK(events_in(read_file(resumed.path())) ==
        std::vector<std::string>{tensorboard_version_event(kWall), tensorboard_session_start_event(kWall, 300)});
  // wall time, step 300 as varint, session_log { status: START }
  CHECK(tensorboard_session_start_event(kWall, 300) == bytes_of("09 00000040fc54d941 10 ac02 3a 02 0801"));
}

TEST_CASE("Scalars are in the file as soon as they are written; values that are not finite are left out") {
  const TemporaryDirectory directory;
  const WallTime now = WallTime(std::chrono::seconds(1'700'000'000));
  TensorBoardWriter writer(directory.path(), 0, now);
  const std::vector<Scalar> scalars{{"train/log_loss", 0.25f}, {"bad", std::nanf("")}, {"valid/auc", 0.75f}};
  writer.write(1'000'000, scalars, now);
  writer.write(2, std::vector<Scalar>{{"bad", std::numeric_limits<float>::infinity()}}, now);
  const std::vector<std::string> events = events_in(read_file(writer.path()));
  REQUIRE(events.size() == 2);
  CHECK(events[1] == tensorboard_scalars_event(kWall, 1'000'000, std::vector<Scalar>{scalars[0], scalars[2]}));
}
