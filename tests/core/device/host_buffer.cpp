#include "device/host_buffer.h"

#include <catch2/catch.hpp>
#include <cstdint>
#include <limits>
#include <utility>

#include "base/error.h"

using rechost::DeviceError;
using rechost::HostBuffer;

TEST_CASE("a host buffer is aligned, reads as zero and can be written to its last byte") {
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{4096}, (std::size_t{3} << 20) + 5}) {
    HostBuffer buffer(bytes, "a test");
    REQUIRE(buffer.bytes() == bytes);
    REQUIRE(reinterpret_cast<std::uintptr_t>(buffer.data()) % HostBuffer::kAlignment == 0);
    REQUIRE(buffer.data()[0] == std::byte{0});
    buffer.data()[bytes - 1] = std::byte{42};
    REQUIRE(buffer.data()[bytes - 1] == std::byte{42});
  }
}

TEST_CASE("a buffer of no bytes has nothing in it") {
  const HostBuffer buffer(0, "nothing");
  REQUIRE(buffer.bytes() == 0);
  REQUIRE(buffer.view<float>().empty());
}

TEST_CASE("moving a buffer hands its memory over") {
  HostBuffer from(64, "a test");
  from.view<float>()[3] = 1.5f;
  HostBuffer to = std::move(from);
  REQUIRE(from.bytes() == 0);
  REQUIRE(to.view<float>()[3] == 1.5f);
  HostBuffer other(16, "a test");
  other = std::move(to);
  REQUIRE(other.view<float>().size() == 16);
  REQUIRE(other.view<float>()[3] == 1.5f);
}

TEST_CASE("memory that is refused is an error with its purpose and size") {
  constexpr std::size_t kFarTooMuch = std::size_t{1} << 60;
  REQUIRE_THROWS_AS(HostBuffer(kFarTooMuch, "table \"c3\""), DeviceError);
  REQUIRE_THROWS_WITH(HostBuffer(kFarTooMuch, "table \"c3\""),
                      Catch::Contains("table \"c3\"") && Catch::Contains("1152921504606846976 bytes"));
  REQUIRE_THROWS_AS(HostBuffer(std::numeric_limits<std::size_t>::max(), "everything"), DeviceError);
}
